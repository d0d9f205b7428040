package emit

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"fewshot/nn/quote"
)

// Kubernetes is work as an Indexed Job.
type Kubernetes struct {
	Work             // with "" as Program it is the image's entry point
	Image   string   // container image
	Volumes []Volume // where the plan, the results, models and data lie
	Env     []string // NAME=VALUE
	User    string   // UID or UID:GID that the program runs as; "" is the image's
	Retries int      // of a task whose machine failed or that failed for a reason of which it is not known that it will again
	Grace   int      // seconds to save in
}

// Volume is a volume by the name of its claim.
type Volume struct {
	Claim, Path string
	ReadOnly    bool
}

// ParseVolume reads CLAIM:/path or CLAIM:/path:ro.
func ParseVolume(s string) (v Volume, err error) {
	claim, at, ok := strings.Cut(s, ":")
	at, mode, given := strings.Cut(at, ":")
	v = Volume{claim, at, mode == "ro"}
	if !ok || given && mode != "ro" && mode != "rw" {
		return v, fmt.Errorf("volume %s: the name of a claim and where to put it, as results:/results, with :ro behind if it is only read", quote.String(s))
	}
	return v, v.check()
}

const (
	// mostTasks is the bound of an Indexed Job that counts failures by index: beyond it the server wants bounds on failures and on tasks
	// at a time that no plan needs.
	mostTasks = 100000
	mostLabel = 63 // of a pod's name as a host's
)

var (
	label     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	claimName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	imageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$`)
	userID    = regexp.MustCompile(`^(\d{1,9})(:(\d{1,9}))?$`)
)

// Manifest is the Job as YAML.
//
// A pod that was told to end and has saved exits with 75 and is replaced as often as that happens; so is one that was moved elsewhere. A
// run whose command line is wrong, or that met a fault of the program, is not tried again. Other failures are, a few times, each index
// for itself: one that fails does not end the others. A pod is replaced when it has ended, and not while it still saves: no two of them
// write into one folder.
func (k *Kubernetes) Manifest() ([]byte, error) {
	if err := k.Work.check(); err != nil {
		return nil, err
	}
	n, single, err := k.size(mostTasks)
	if err == nil {
		err = k.check(n)
	}
	if err != nil {
		return nil, err
	}
	parallel := n
	if k.Parallel > 0 {
		parallel = min(n, k.Parallel)
	}
	args := slices.Concat([]string{"run"}, k.flags(), k.Args)
	for i, a := range args {
		args[i] = literal(a)
	}
	if single {
		args = append(args, "-index", "$(JOB_COMPLETION_INDEX)")
	} else {
		args = append(args, "-shard", fmt.Sprintf("/%d", n)) // which is the task's is in the variable of that name
	}
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	line("# %s, for Kubernetes.", k.about(n))
	line("#\n#\tkubectl create -f THIS_FILE\n#")
	line("# and when kubectl get job %s shows that it is over, fewshot collect on a machine that has the results.", k.Name)
	line("apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: %s", text(k.Name))
	line("spec:\n  completionMode: Indexed\n  completions: %d\n  parallelism: %d", n, parallel)
	line("  backoffLimitPerIndex: %d\n  podReplacementPolicy: Failed\n  podFailurePolicy:\n    rules:", k.Retries)
	line("    # It was moved, or has saved and goes on from there.")
	line("    - action: Ignore\n      onPodConditions:\n      - type: DisruptionTarget\n        status: \"True\"")
	line("    - action: Ignore\n      onExitCodes:\n        containerName: fewshot\n        operator: In\n        values: [75]")
	line("    # Wrong usage, and a fault of the program: the next time would be the same.")
	line("    - action: FailIndex\n      onExitCodes:\n        containerName: fewshot\n        operator: In\n        values: [2, 70]")
	line("  template:\n    spec:\n      restartPolicy: Never\n      terminationGracePeriodSeconds: %d", k.Grace)
	line("      automountServiceAccountToken: false\n      enableServiceLinks: false")
	k.security(line)
	line("      containers:\n      - name: fewshot\n        image: %s", text(k.Image))
	if k.Program != "" {
		line("        command: [%s]", text(literal(k.Program)))
	}
	line("        args:")
	for _, a := range args {
		line("        - %s", text(a))
	}
	k.env(line)
	k.resources(line)
	if len(k.Volumes) > 0 {
		line("        volumeMounts:")
		for i, v := range k.Volumes {
			line("        - name: volume-%d\n          mountPath: %s\n          readOnly: %v", i, text(v.Path), v.ReadOnly)
		}
		line("      volumes:")
		for i, v := range k.Volumes {
			line("      - name: volume-%d\n        persistentVolumeClaim:\n          claimName: %s\n          readOnly: %v", i, text(v.Claim), v.ReadOnly)
		}
	}
	return []byte(b.String()), nil
}

func (k *Kubernetes) security(line func(string, ...any)) {
	m := userID.FindStringSubmatch(k.User)
	if m == nil {
		return
	}
	line("      securityContext:\n        runAsUser: %s", decimal(m[1]))
	if m[3] != "" {
		line("        runAsGroup: %s\n        fsGroup: %s", decimal(m[3]), decimal(m[3]))
	}
}

func (k *Kubernetes) env(line func(string, ...any)) {
	if len(k.Env) == 0 {
		return
	}
	line("        env:")
	for _, e := range k.Env {
		name, value, _ := strings.Cut(e, "=")
		line("        - name: %s\n          value: %s", text(name), text(literal(value)))
	}
}

// resources are limits, which are requested too where nothing else is.
func (k *Kubernetes) resources(line func(string, ...any)) {
	if k.CPUs == 0 && k.Memory == "" && k.GPUs == 0 {
		return
	}
	line("        resources:\n          limits:")
	if k.CPUs > 0 {
		line("            cpu: \"%d\"", k.CPUs)
	}
	if k.Memory != "" {
		line("            memory: \"%si\"", k.Memory)
	}
	if k.GPUs > 0 {
		line("            nvidia.com/gpu: \"%d\"", k.GPUs)
	}
}

func (k *Kubernetes) check(n int) error {
	switch {
	case !label.MatchString(k.Name):
		return fmt.Errorf("name %s: small letters, digits, and - between them; pods are called by it, as hosts are", quote.String(k.Name))
	case len(k.Name)+len(fmt.Sprintf("-%d", n-1)) > mostLabel:
		return fmt.Errorf("name %s: with -%d behind it it has %d characters, and a pod's has %d at most", k.Name, n-1, len(k.Name)+len(fmt.Sprintf("-%d", n-1)), mostLabel)
	case !imageName.MatchString(k.Image):
		return fmt.Errorf("image %s: the name of a container image, as registry.example/fewshot:1.0", quote.String(k.Image))
	case k.User != "" && !userID.MatchString(k.User):
		return fmt.Errorf("user %s: numbers, as 1000 or 1000:1000", quote.String(k.User))
	case k.Retries < 0 || k.Retries > most:
		return fmt.Errorf("%d further tries: from 0 to %d", k.Retries, most)
	case k.Grace < 1 || k.Grace > most:
		return fmt.Errorf("%d seconds to save in: from 1 to %d", k.Grace, most)
	}
	for _, e := range k.Env {
		name, value, ok := strings.Cut(e, "=")
		if !ok || !envName.MatchString(name) {
			return fmt.Errorf("environment %s: NAME=VALUE", quote.String(e))
		}
		if err := oneLine("the value", value); err != nil {
			return err
		}
	}
	return k.checkPlaces()
}

// checkPlaces refuses volumes that cannot be, and plans and results that would lie in none.
func (k *Kubernetes) checkPlaces() error {
	seen := map[string]bool{}
	for _, v := range k.Volumes {
		if err := v.check(); err != nil {
			return err
		}
		if seen[v.Path] {
			return fmt.Errorf("two volumes at %s", quote.Plain(v.Path))
		}
		seen[v.Path] = true
	}
	for _, t := range []struct {
		what, path string
		written    bool
	}{{"the plan", k.Plan, false}, {"the folder of results", k.Out, true}} {
		v, ok := k.volume(t.path)
		switch {
		case !path.IsAbs(t.path):
			return fmt.Errorf("%s is %s; a pod knows no folder to begin at, so give the path from / on, as it is there", t.what, quote.String(t.path))
		case !ok:
			return fmt.Errorf("%s, %s, lies in no volume; name the claim that it is in, as results:/results", t.what, quote.String(t.path))
		case t.written && v.ReadOnly:
			return fmt.Errorf("%s, %s, lies in volume %s, which is only read", t.what, quote.String(t.path), v.Claim)
		}
	}
	return nil
}

// volume is the one that a path lies in: of several, the innermost.
func (k *Kubernetes) volume(p string) (in Volume, ok bool) {
	p = path.Clean(p)
	for _, v := range k.Volumes {
		if (p == v.Path || strings.HasPrefix(p, v.Path+"/")) && len(v.Path) > len(in.Path) {
			in, ok = v, true
		}
	}
	return in, ok
}

func (v Volume) check() error {
	switch {
	case len(v.Claim) > 253 || !claimName.MatchString(v.Claim):
		return fmt.Errorf("volume %s: the name of a claim has small letters, digits, and - and . between them", quote.String(v.Claim))
	case !path.IsAbs(v.Path) || path.Clean(v.Path) != v.Path || v.Path == "/":
		return fmt.Errorf("volume %s at %s: where it is put is a folder's path from / on", v.Claim, quote.String(v.Path))
	case strings.Contains(v.Path, ":"):
		return fmt.Errorf("volume %s at %s: the path may have no colon", v.Claim, quote.String(v.Path))
	}
	return oneLine("the path", v.Path)
}

// literal is a text in which Kubernetes puts no variable's value in place of $(NAME): $$ is a $ to it.
func literal(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// text is a string of YAML, whose strings in quotation marks are those of JSON: nothing is a number or true by accident.
func text(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings can be written
	}
	return string(b)
}

// decimal is a number without zeros before it, which make it octal to some.
func decimal(digits string) string {
	if d := strings.TrimLeft(digits, "0"); d != "" {
		return d
	}
	return "0"
}

package hub

import (
	"fmt"
	"path"
	"strings"
)

// A Name is a model's, parsed.
type Name struct {
	// Repo is owner/name on Hugging Face; empty for OpenAI's own archives.
	Repo string
	// Revision is a branch, tag or commit; main if none was given.
	Revision string
	// OpenCLIP says that the name had open_clip's hf-hub: before it: its files are preferred.
	OpenCLIP bool
	// OpenAI is one of [OpenAINames].
	OpenAI string
}

func (n Name) String() string {
	switch {
	case n.OpenAI != "":
		return n.OpenAI
	case n.Revision != defaultRevision:
		return n.Repo + "@" + n.Revision
	}
	return n.Repo
}

const (
	defaultRevision = "main"
	openCLIPPrefix  = "hf-hub:"
)

// ParseName parses what may be a model's name: one of OpenAI's, or owner/name with an optional @revision, with or
// without hf-hub:. ok is false where s can only be a path: one that begins with / . or ~, has more than one slash
// or a backslash, or ends as weights' files do.
func ParseName(s string) (n Name, ok bool, err error) {
	if _, ok := openAIModels[s]; ok {
		return Name{OpenAI: s}, true, nil
	}
	repo, explicit := strings.CutPrefix(s, openCLIPPrefix)
	repo, revision, given := strings.Cut(repo, "@")
	if !given {
		revision = defaultRevision
	}
	n = Name{Repo: repo, Revision: revision, OpenCLIP: explicit}
	fault := badRepo(repo)
	if fault == "" {
		fault = badRevision(revision)
	}
	switch {
	case fault == "" && (explicit || !looksLikeFile(repo)):
		return n, true, nil
	case explicit:
		return Name{}, false, fmt.Errorf("%q is no model's name: %s; want hf-hub:owner/name or hf-hub:owner/name@revision", s, fault)
	}
	return Name{}, false, nil
}

// looksLikeFile tells weights' files in a folder from repositories, whose names also have dots.
func looksLikeFile(s string) bool {
	switch strings.ToLower(path.Ext(s)) {
	case ".pt", ".pth", ".bin", ".safetensors", ".gz", ".json", ".onnx", ".zip", ".ckpt", ".tar":
		return true
	}
	return false
}

// badRepo says what is wrong with owner/name, by the hub's own rules.
func badRepo(repo string) string {
	owner, name, ok := strings.Cut(repo, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return "want owner/name"
	}
	for _, part := range []string{owner, name} {
		for _, c := range []byte(part) {
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
				return fmt.Sprintf("%q is not used in names", c)
			}
		}
		if strings.ContainsAny(part[:1]+part[len(part)-1:], "-.") {
			return "a part begins or ends with - or ."
		}
	}
	switch {
	case len(repo) > 96:
		return "longer than 96 bytes"
	case strings.Contains(repo, "--"), strings.Contains(repo, ".."):
		return "-- and .. are not used in names"
	case strings.HasSuffix(repo, ".git"):
		return "ends in .git"
	}
	return ""
}

// badRevision says what is wrong with a branch, tag or commit, which becomes a path below refs.
func badRevision(rev string) string {
	if fault := badPath(rev); fault != "" {
		return "revision: " + fault
	}
	return ""
}

// badPath says why a slash-separated name from the hub must not become a path of this machine. Windows' rules hold
// everywhere, so that a cache can be carried.
func badPath(name string) string {
	if name == "" || len(name) > 1024 {
		return "a name of 1 to 1024 bytes is wanted"
	}
	for i, part := range strings.Split(name, "/") {
		switch {
		case part == "":
			return "an empty part"
		case part == "." || part == "..":
			return "a part that is " + part
		case len(part) > 255:
			return "a part longer than 255 bytes"
		case i == 0 && len(part) >= 2 && part[1] == ':':
			return "a drive letter"
		case strings.HasSuffix(part, incompleteSuffix):
			return "a name that unfinished downloads have"
		}
	}
	for _, c := range name {
		if c < ' ' || c == 0x7f || c == '\\' || c == 0xfffd {
			return fmt.Sprintf("the character %q", c)
		}
	}
	return ""
}

// isCommit reports whether rev is a full commit, which never changes its meaning. Others count as branches, upper case
// too.
func isCommit(rev string) bool { return len(rev) == 40 && isHex(rev) }

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return s != ""
}

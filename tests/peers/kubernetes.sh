#!/usr/bin/env bash
# What fewshot plan emit kubernetes writes, judged by the API server's own code: strict decoding, defaults, what the
# server adds to a Job, and its validation (ValidateJobCreate), of the release below.
#
#	tests/peers/kubernetes.sh
#
# Needs Go, and its module proxy for the modules of Kubernetes, of which a program is built in a temporary folder
# (some minutes, 0.5 GB). That the judge judges is seen by manifests that are wrong in one line each. Exits 1 if any
# verdict is another than it should be.
set -euo pipefail
release=1.37.2
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
go build -o "$work/fewshot" ./cmd/fewshot

mkdir "$work/judge"
{
	echo "module judge"
	echo "require ("
	printf '\tk8s.io/%s\n' "kubernetes v$release" "apimachinery v0.${release#1.}" "apiserver v0.${release#1.}"
	echo ")"
	for m in api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap code-generator component-base \
		component-helpers controller-manager cri-api cri-client cri-streaming csi-translation-lib dynamic-resource-allocation endpointslice externaljwt kms \
		kube-aggregator kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils pod-security-admission sample-apiserver \
		sample-cli-plugin sample-controller streaming; do
		echo "replace k8s.io/$m => k8s.io/$m v0.${release#1.}"
	done
} >"$work/judge/go.mod"
cat >"$work/judge/main.go" <<'GO'
package main

import (
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/batch"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/registry/batch/job"
)

func main() {
	for _, path := range os.Args[1:] {
		if err := judge(path); err != nil {
			fmt.Printf("refused: %v\n", err)
			continue
		}
		fmt.Println("accepted")
	}
}

// judge does to a file what the server does to a Job that is created.
func judge(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	strict := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict)
	o, err := runtime.Decode(strict.UniversalDecoder(), b)
	if err != nil {
		return err
	}
	j := o.(*batch.Job)
	j.Namespace = "default"
	rest.FillObjectMetaSystemFields(j)
	ctx := request.WithRequestInfo(request.NewDefaultContext(), &request.RequestInfo{APIGroup: "batch", APIVersion: "v1", Resource: "jobs"})
	return rest.BeforeCreate(job.Strategy, ctx, j)
}
GO
(cd "$work/judge" && go mod tidy 2>/dev/null && go build -o ../judged .)

failed=0
# is FILE VERDICT...: what the judge says of it, which has to hold these words.
is() {
	local said
	said=$("$work/judged" "$1" | cut -c1-200)
	printf '%-44s %s\n' "$(basename "$1" .yaml)" "$said"
	case $said in
	*"$2"*) ;;
	*) echo "   expected: $2"; failed=1 ;;
	esac
}
plan() { (cd "$work" && ./fewshot plan "$@"); }
wrong() { sed "$2" "$work/plain.yaml" >"$work/$1.yaml" && ! cmp -s "$work/plain.yaml" "$work/$1.yaml" && is "$work/$1.yaml" "$3"; }

echo "Kubernetes $release"
plan -datasets synth:things -methods tip-adapter -shots 1,2 -seeds 1,2,3 -open=false -out plan.jsonl >/dev/null
plan -datasets synth:things -methods tip-adapter,coop -below none,r-amt -seeds 1,2,3 -open=false -out below.jsonl >/dev/null
plan -datasets synth:things -methods tip-adapter -seeds "$(seq -s, 1 12000)" -open=false -out many.jsonl >/dev/null
plan emit kubernetes plan.jsonl -at /work/plan.jsonl -runs /work/runs -image registry.example/fewshot:1.0 -volume work:/work >"$work/plain.yaml"
plan emit kubernetes plan.jsonl -name table-1 -at "/plans/it's a \$(plan) \"1\": yes.jsonl" -runs /results/no -tasks 4 -parallel 2 -cpus 8 -mem 32G -gpus 1 \
	-image registry.example/fewshot@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef -user 1000:1000 -retries 3 -grace 600 \
	-env HF_HOME=/models -env ON=yes -env N=1 -volume plans:/plans:ro -volume results.v1:/results -volume models:/models:ro \
	-- -data '/models/sets of images' -device cuda:0 >"$work/all-flags.yaml"
plan emit kubernetes below.jsonl -at /work/plan.jsonl -runs /work/runs -image fewshot -volume work:/work >"$work/runs-that-need-others.yaml"
plan emit kubernetes many.jsonl -name "$(printf 'a%.0s' $(seq 57))" -at /work/plan.jsonl -runs /work/runs -image fewshot -volume work:/work >"$work/12000-runs-name-of-57.yaml"
for f in plain all-flags runs-that-need-others 12000-runs-name-of-57; do
	is "$work/$f.yaml" accepted
done
wrong a-field-misspelt 's/backoffLimitPerIndex/backOffLimitPerIndex/' 'unknown field'
wrong without-restartPolicy '/restartPolicy/d' restartPolicy
wrong restartPolicy-OnFailure 's/restartPolicy: Never/restartPolicy: OnFailure/' 'restartPolicy'
wrong replaced-while-it-saves 's/Policy: Failed/Policy: TerminatingOrFailed/' 'podReplacementPolicy'
wrong not-indexed 's/completionMode: Indexed/completionMode: NonIndexed/' 'indexed completion mode'
wrong exit-codes-unsorted 's/\[2, 70\]/[70, 2]/' 'must be ordered'
wrong a-name-with-a-dot 's/name: "fewshot"/name: "few.shot"/' 'metadata.name'
wrong a-volume-that-is-not-there 's/^        - name: volume-0/        - name: volume-1/' 'volumeMounts'
exit $failed

#!/usr/bin/env bash
# What fewshot plan emit slurm writes, on a real Slurm of one node.
#
#	tests/slurm.sh [limit]
#
# Sets the cluster up in a temporary folder, from Debian's packages, which it unpacks and does not install: no service, no munge, no cgroups.
# A plan of six small runs, of which one fails, is put into the queue as it is written; one is told that its time is over and goes back into
# the queue; the job behind them collects. With limit it is Slurm that tells, by a time limit of two minutes. The table, and all that was
# learned, has to be what fewshot run makes alone. Needs Debian 12 on x86-64 with apt, Go, and 5 minutes, of which Slurm takes two to start what
# was put back; with limit a quarter of an hour. EPOCHS is how long the runs are: 8, and with limit as many as take the longest run four
# minutes here, by the time that two of them took before. Whatever is waited for too long ends the script, and the cluster with it.
set -euo pipefail
cd "$(dirname "$0")/.."
source=$PWD
work=$(mktemp -d)
pids=()
epochs=${EPOCHS:-8} time=(-time 10) limit=
[ "${1:-}" != limit ] || limit=1 time=(-time 2 -lead 30)
finish() {
	kill "${pids[@]}" 2>/dev/null && wait "${pids[@]}" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT
say() { printf '\n== %s\n' "$*"; }
# until_ SECONDS WHAT COMMAND...: waits until the command succeeds.
until_() {
	local left=$1 what=$2
	shift 2
	until "$@"; do
		((left-- > 0)) || { echo "gave up waiting for $what"; tail -n 20 "$work"/*.log; exit 1; }
		sleep 1
	done
}

say "the cluster"
mkdir "$work/packages" "$work/root" "$work/state" "$work/spool"
(cd "$work/packages" && apt-get download -q libhwloc15 liblua5.1-0 libmunge2 slurm-wlm-basic-plugins slurm-client slurmctld slurmd >/dev/null 2>&1)
for p in "$work"/packages/*.deb; do dpkg -x "$p" "$work/root"; done
usr=$work/root/usr lib=$work/root/usr/lib/$(uname -m)-linux-gnu node=$(hostname -s)
export LD_LIBRARY_PATH=$lib:$lib/slurm-wlm PATH=$usr/bin:$PATH SLURM_CONF=$work/slurm.conf
port=$((20000 + $$ % 20000))
cat >"$SLURM_CONF" <<END
ClusterName=one
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
PluginDir=$lib/slurm-wlm
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
MailProg=/bin/true
MinJobAge=3600
SlurmdParameters=config_overrides
NodeName=$node NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
"$usr/sbin/slurmctld-wlm" -c -D 2>/dev/null & pids+=($!)
"$usr/sbin/slurmd-wlm" -D -d "$usr/sbin/slurmstepd-wlm" 2>/dev/null & pids+=($!)
idle() { sinfo -h -o %T 2>/dev/null | grep -q idle; }
until_ 60 "the cluster" idle
sinfo --version
sinfo

say "a plan of six runs; an image is damaged that one of them is trained on"
(cd "$source" && go build -o "$work/fewshot" ./cmd/fewshot)
here="$work/it's a folder"
mkdir "$here"
cd "$here"
fewshot() { "$work/fewshot" "$@" 2>>"$work/fewshot.log"; }
fewshot data export -dataset synth:digits -out data >/dev/null
plan() { fewshot plan -data data -datasets synth_digits,synth:things -methods r-amt -shots 1,2,0 -set epochs="$1" -out "$2"; }
if [ "$limit" ] && [ -z "${EPOCHS:-}" ]; then
	plan 2 two.jsonl
	began=$(date +%s%N)
	GOMAXPROCS=1 fewshot run two.jsonl -data data -index 5
	epochs=$((2 * 240 * 1000000000 / ($(date +%s%N) - began) + 1))
fi
plan "$epochs" plan.jsonl
for picture in data/synth_digits/images/*/*; do # one that the runs on few images are not trained on
	cp "$picture" kept
	: >"$picture"
	rm -rf alone
	fewshot run plan.jsonl -data data -runs alone -index 0 >/dev/null && fewshot run plan.jsonl -data data -runs alone -index 1 >/dev/null && break
	cp kept "$picture"
done
rm -rf alone
fewshot run plan.jsonl -data data -runs alone || echo "exit code $?"
"$work/fewshot" collect plan.jsonl -runs alone >alone.txt 2>&1

say "the script"
fewshot plan emit slurm plan.jsonl -runs 'a "cluster"' -parallel 3 -cpus 1 "${time[@]}" -- -data data -save-every 1s >runs.sh
cat runs.sh
bash runs.sh | tee submitted.txt
array=$(sed -n 's/^array \([0-9]*\).*/\1/p' submitted.txt)
collect=$(sed -n 's/.*by job \([0-9]*\).*/\1/p' submitted.txt)

say "the last task is told that its time is over, once it has saved"
last=$(sed -n '7s/.*"id":"\([0-9a-f]*\)".*/\1/p' plan.jsonl)
saved() { ls 'a "cluster"'/"$last"/training-*.safetensors >/dev/null 2>&1; }
until_ 240 "the last task to save" saved
[ "$limit" ] || scancel --batch --signal=USR1 "${array}_5"
back() {
	[ ! -e 'a "cluster"'/"$last"/result.json ] || { echo "it has ended before it was told: with $epochs epochs it is too short; EPOCHS gives it more"; exit 1; }
	squeue -h -j "$array" -o '%i %T' | grep -q "_5 PENDING"
}
until_ 180 "the last task to be put back" back
squeue -o '%.12i %.10P %.16j %.10T %.8M %r'

say "the end of all"
collected() { [ -s 'a "cluster"'/slurm/collect-"$collect".log ]; }
until_ $([ "$limit" ] && echo 2400 || echo 480) "what collects" collected
gone() { [ -z "$(squeue -h)" ]; }
until_ 60 "the queue to be empty" gone
for log in 'a "cluster"'/slurm/*; do
	echo "-- ${log##*/}"
	grep -v -e travel -e 'called by numbers' "$log"
done
scontrol -o show job | sed -E 's/^(JobId=[0-9]+)( ArrayJobId=[0-9]+)?( ArrayTaskId=[0-9]+)?.* (JobState=[A-Z]+).* (Restarts=[0-9]+).* (ExitCode=[0-9:]+) .*/\1\3 \4 \5 \6/'

say "beside the runs alone"
diff <(sed 's/a "cluster"/alone/g' 'a "cluster"'/slurm/collect-"$collect".log) alone.txt
for file in alone/*/mask.safetensors; do
	cmp "$file" 'a "cluster"'"${file#alone}"
done
restarts=$(scontrol -o show job "${array}_5" | grep -o 'Restarts=[0-9]*')
[ "$restarts" = Restarts=1 ] || [ "$limit" ] && [ "$restarts" != Restarts=0 ]
[ "$(find 'a "cluster"' -name mask.safetensors | wc -l)" = 5 ]
echo "the same table, the same bytes of 5 masks; the last task: $restarts"

#!/usr/bin/env bash
# on-machine.sh CALL OUT [BUDGET]: on a bare machine, unpack the bundle if it is not unpacked yet, and run the pack.
# CALL is first (the arms of most worth, all stages) or second (the other arms); results are written under OUT.
# .engines/gpu holds parcel.tar.xz and the pack (`make gpu-bundle gpu-pack`).
set -euo pipefail
call=$1 out=$2 budget=${3:-480}
kit=.engines/gpu site=$PWD/.engines/gpu-site
case $call in
  first) choice=(--arms no-prefix-caching,fp8-weights,fp8-kv) ;;
  second) choice=(--arms fp8-kv,chunk-2048,kv-offload,max-num-seqs-8 --stages agents-8,mixed-8,agents-32) ;;
  *) echo "on-machine.sh first|second OUT [BUDGET]" >&2; exit 2 ;;
esac
mkdir -p "$out" "$site"
if [ ! -e "$site/.unpacked" ]; then
  python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1], "r|xz").extractall(sys.argv[2], filter="data")' "$kit/parcel.tar.xz" "$site"
  touch "$site/.unpacked"
fi
export PYTHONPATH=$site/site HF_HUB_OFFLINE=1 CUDA_MODULE_LOADING=LAZY VLLM_USE_FLASHINFER_SAMPLER=0
# exec: a signal must reach the program that stops the engine
exec python3 -m phasewise_replay.gpu.on_machine "$kit/llama-3.1-8b.pack" "$out/results-$call.jsonl" --budget "$budget" "${choice[@]}"

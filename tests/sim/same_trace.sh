#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A seed's trace is the same each time: same_trace.sh SIMULATOR
set -eu
for seed in 1 2 3 4 5 6 7 8 "1 --tls" "2 --tls" "3 --tls" "4 --tls" "5 --tls" "6 --tls" "7 --tls" "8 --tls"; do
    # Two words where there are two.
    # shellcheck disable=SC2086
    first=$("$1" --seed $seed --trace | grep -v seconds | sha256sum)
    # shellcheck disable=SC2086
    again=$("$1" --seed $seed --trace | grep -v seconds | sha256sum)
    [ "$first" = "$again" ] || { echo "seed $seed: two traces" >&2; exit 1; }
done

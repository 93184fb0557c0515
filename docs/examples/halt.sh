#!/bin/sh
# Halt an account and wait until the exchange shows it flat: halt.sh <account>
# VIBEX_URL is the installation, VIBEX_KEY a key with the scope trade.
set -eu

call() { # call <method> <path> [curl options]
    method=$1 path=$2
    shift 2
    # The key stands in no argument: other people of this machine see those.
    printf 'header = "Authorization: Api-Key %s"\n' "$VIBEX_KEY" |
        curl --silent --show-error --fail-with-body --max-time 10 --config - --request "$method" "$@" "$VIBEX_URL$path"
}

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

job=$(call POST "/api/v1/accounts/$1/halt/" --header 'Content-Type: application/json' \
    --header "Idempotency-Key: halt-$1-$(date +%s)-$$" --data '{"reason": "from a shell"}')
id=$(printf '%s' "$job" | field id)
while [ "$(printf '%s' "$job" | field status)" = running ]; do
    sleep 1
    job=$(call GET "/api/v1/jobs/$id/")
done
printf '%s\n' "$job"
[ "$(printf '%s' "$job" | field status)" = done ]

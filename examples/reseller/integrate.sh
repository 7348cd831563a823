#!/usr/bin/env bash
# What a reseller's panel does: sells a plan to a viewer, shows what is left, renews the
# signing key, and gets the viewer a URL to play. With curl and jq.
#
#   API       the control plane, https://control.example:8443; of `make run`: jq -r .api data/run.json
#   API_KEY   the reseller's API key, with the permissions read, write, keys and playback
#   PLAN      the plan to sell
#   STREAM    the stream to watch
#   ORDER     the number of the order, which makes a repeated run harmless (default: now)
#   CLIENT    the viewer's address, for the way to the nearest edge (default: not known)
set -euo pipefail

: "${API:?the control plane}" "${API_KEY:?an API key}" "${PLAN:?a plan}" "${STREAM:?a stream}"
order=${ORDER:-$(date +%s)}

# call METHOD PATH [BODY] [HEADER]... answers with the body. The key goes by a file: other
# users of the machine see arguments.
call() {
	local method=$1 path=$2 body=${3:-} answer status
	shift $(($# < 3 ? $# : 3))
	local headers=()
	for header in "$@"; do headers+=(--header "$header"); done
	answer=$(curl --silent --show-error --max-time 20 --retry 3 --retry-connrefused --write-out '\n%{http_code}' \
		--config <(printf 'header = "Authorization: Bearer %s"\n' "$API_KEY") \
		--header 'Content-Type: application/json' "${headers[@]}" \
		${body:+--data "$body"} --request "$method" "$API$path")
	status=${answer##*$'\n'}
	answer=${answer%$'\n'*}
	if ((status >= 400)); then
		jq -r '"error: \(.code): \(.detail)"' <<<"$answer" >&2
		return 1
	fi
	printf '%s\n' "$answer"
}

reseller=$(call GET /v1/me | jq -r .reseller_id)

# The plan is charged in the same step. Sent again with its key, the request takes effect
# once: after a timeout, just send it again.
user=$(call POST /v1/users "$(jq -nc --arg plan "$PLAN" --arg name "order $order" '{name: $name, plan_id: $plan}')" \
	"Idempotency-Key: order-$order")
id=$(jq -r .id <<<"$user")
echo "user:      $id, until $(jq -r .expires_at <<<"$user")"
echo "balance:   $(call GET "/v1/resellers/$reseller/balance" | jq -r .balance)"

# Panels that sign tokens themselves keep the secret; those that ask for URLs need none.
# A rotation waits for the end of the one before it.
if key=$(call POST "/v1/resellers/$reseller/signing-keys" '{"group_id": "default"}' "Idempotency-Key: rotate-$order"); then
	echo "key:       $(jq -r .kid <<<"$key"), current; its secret has $(jq -r '.secret | length' <<<"$key") characters"
fi

ticket=$(call POST /v1/playback "$(jq -nc --arg user "$id" --arg stream "$STREAM" --arg client "${CLIENT:-}" \
	'{user_id: $user, stream_id: $stream} + if $client == "" then {} else {client: $client} end')")
echo "play:      $(jq -r .url <<<"$ticket")"
echo "until:     $(jq -r .expires_at <<<"$ticket"), on $(jq -r .edge_id <<<"$ticket")"

#!/usr/bin/env bash
# Makes what `make run` shows, through the control plane's API, as an operator would: an
# edge, test channels, a bouquet, a plan, a reseller with credits, and a viewer account.
# What is there already stays, so that it can run at every start.
#
#   API      base URL of the control plane
#   KEY      file with the operator's API key
#   EDGE_URL base URL of the edge
#   SOURCE   the user's own feed, as the edge reads it; empty: none
#   OUT      folder for what is shown once: play_key, made where the file is not there,
#            and join_code, where there is no edge.token yet
set -euo pipefail
umask 077

: "${API:?}" "${KEY:?}" "${EDGE_URL:?}" "${OUT:?}"
source=${SOURCE:-}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# call METHOD PATH [BODY] [HEADER]... prints the answer's body. The key stays out of the
# arguments, which other users of the machine can see.
call() {
	local method=$1 path=$2 body=${3:-} status
	shift $(($# < 3 ? $# : 3))
	local options=(-sS --max-time 20 -o "$work/answer" -D "$work/headers" -w '%{http_code}' -X "$method" -K -)
	local header
	for header; do options+=(-H "$header"); done
	if [[ $body ]]; then options+=(-H 'Content-Type: application/json' --data-binary @-); fi
	# curl reads its configuration from standard input, so that the body comes by a file.
	printf '%s' "$body" >"$work/body"
	status=$(printf 'header = "Authorization: Bearer %s"\nheader = "Idempotency-Key: %s"\n' \
		"$(<"$KEY")" "$(</proc/sys/kernel/random/uuid)" | curl "${options[@]/@-/@$work/body}" "$API$path") || return 1
	cat "$work/answer"
	[[ $status == 2* ]]
}

# Says what went wrong, as the control plane puts it.
refused() {
	echo "the control plane refused to make $1: $(jq -r '.detail // .title // .' "$work/answer" 2>/dev/null || cat "$work/answer")" >&2
	exit 1
}

# made WHAT PATH ID BODY makes what has an id of ours, unless it is there.
made() {
	call GET "$2/$3" >/dev/null || call POST "$2" "$4" >"$work/made" || refused "$1"
}

# changed WHAT PATH BODY [METHOD] [SUBPATH] changes what is there; If-Match holds what was
# read.
changed() {
	local etag
	call GET "$2" >/dev/null || refused "$1"
	etag=$(tr -d '\r' <"$work/headers" | sed -n 's/^[Ee][Tt]ag: //p')
	call "${4:-PATCH}" "$2${5:-}" "$3" "If-Match: $etag" >/dev/null || refused "$1"
}

# ---- edge ----

make_edge() {
	if ! call GET /v1/edges/edge-1 >/dev/null; then
		call POST /v1/edges "$(jq -n --arg url "$EDGE_URL" '{id: "edge-1", $url}')" >/dev/null || refused "the edge"
	elif [[ $(jq -r .url "$work/answer") != "$EDGE_URL" ]]; then
		changed "the edge's new address" /v1/edges/edge-1 "$(jq -n --arg url "$EDGE_URL" '{$url}')"
	fi
}

# An edge that has lost its credential, or has none yet, joins with a code.
make_join_code() {
	[[ -s $OUT/edge.token ]] && return
	changed "the edge's join code" /v1/edges/edge-1 '' POST /join-codes
	jq -r .join_code "$work/answer" >"$OUT/join_code"
}

# ---- channels ----

rung() { jq -nc --arg name "$1p" --argjson height "$1" --argjson video_bitrate "$2" '{$name, $height, $video_bitrate, audio_bitrate: 64000}'; }

make_streams() {
	made "the channel bars" /v1/streams bars "$(jq -n --argjson low "$(rung 360 500000)" \
		'{id: "bars", name: "Colour bars", sources: ["test:"], renditions: [$low]}')"
	# Three rungs with keyframes at the same places, so that players can switch.
	made "the channel ladder" /v1/streams ladder "$(jq -n --argjson a "$(rung 480 900000)" --argjson b "$(rung 360 500000)" --argjson c "$(rung 240 250000)" \
		'{id: "ladder", name: "Ladder of three", sources: ["test:"], renditions: [$a, $b, $c]}')"
	streams='["bars","ladder"]'
	[[ $source ]] || return 0
	streams='["bars","ladder","source"]'
	# Passed on as it is. Copying keeps its keyframes, and a file made with FFmpeg's
	# defaults has one in ten seconds. The price is a target duration of 12 s: players
	# start 36 s behind.
	local body
	body=$(printf '%s' "$source" | jq -Rs '{name: "Your own feed", sources: [.], renditions: [{name: "source", copy: true}], longest_gop_seconds: 10, window: 18}')
	if call GET /v1/streams/source >/dev/null; then
		[[ $(jq -r '.sources[0]' "$work/answer") == "$source" ]] || changed "the channel source" /v1/streams/source "$body"
	else
		call POST /v1/streams "$(jq '.id = "source"' <<<"$body")" >/dev/null || refused "the channel source"
	fi
}

make_bouquet() {
	if call GET /v1/bouquets/demo >/dev/null; then
		[[ $(jq -c '.streams | sort' "$work/answer") == $(jq -c sort <<<"$streams") ]] ||
			changed "the bouquet" /v1/bouquets/demo "{\"streams\": $streams}"
	else
		call POST /v1/bouquets "{\"id\": \"demo\", \"name\": \"Demo\", \"streams\": $streams}" >/dev/null || refused "the bouquet"
	fi
}

# ---- those who sell and watch them ----

make_plan() {
	made "the plan" /v1/plans demo '{"id": "demo", "name": "Demo, 30 days", "price": 10, "duration_seconds": 2592000, "max_connections": 20, "bouquets": ["demo"]}'
}

make_reseller() {
	call GET '/v1/resellers?limit=200' >/dev/null || refused "the list of resellers"
	reseller=$(jq -r '[.items[] | select(.name == "Demo reseller")][0].id // ""' "$work/answer")
	[[ $reseller ]] && return
	call POST /v1/resellers '{"name": "Demo reseller"}' >/dev/null || refused "the reseller"
	reseller=$(jq -r .id "$work/answer")
	call POST "/v1/resellers/$reseller/credits" '{"amount": 1000, "reason": "make run"}' >/dev/null || refused "the reseller's credits"
	changed "the reseller's grants" "/v1/resellers/$reseller/grants" '{"show": {"bouquets": ["demo"], "streams": []}, "publish": {"bouquets": [], "streams": []}}' PUT
}

make_user() {
	made "the viewer account" /v1/users demo "$(jq -n --arg reseller_id "$reseller" '{id: "demo", name: "demo", plan_id: "demo", $reseller_id}')"
}

make_play_key() {
	[[ -s $OUT/play_key ]] && return
	call POST /v1/users/demo/play-keys '{"note": "make run"}' >/dev/null || refused "the play key"
	jq -r .key "$work/answer" >"$OUT/play_key"
}

make_edge
make_join_code
make_streams
make_bouquet
make_plan
make_reseller
make_user
make_play_key

#!/usr/bin/env bash
# Runs an edge with two test channels on this machine, and with SOURCE a third
# from a feed of your own. `make run` builds the edge and calls this.
#
#   PORT    where it serves, on 127.0.0.1 (8080)
#   DATA    the folder that it works in (data, beside the Makefile)
#   SOURCE  a feed to play: a URL (http, https, rtmp, srt, udp) or a file
#   EDGE    the program (bin/edge, beside the Makefile)
#
# Once every stream plays, $DATA/run.json says what is where:
# {"page": URL, "playlists": {stream: URL}, "admin": URL, "pids": {name: pid}}.
# Ctrl-C stops everything.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
port=${PORT:-8080}
data=${DATA:-$root/data}
edge=${EDGE:-$root/bin/edge}
source=${SOURCE:-}

streams=(bars ladder)
# How long the test channels may take to play, how long we wait for SOURCE, and
# how long the edge may take to stop. Seconds.
patience=60
source_patience=20
stop_patience=12

edge_pid=
declare -A urls # by stream

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# ---- checks ----

check_programs() {
	[[ -x $edge ]] || die "$edge is not there; build it with: make build"
	edge=$(cd "$(dirname "$edge")" && pwd)/$(basename "$edge")
	"$root/test/need.sh" ffmpeg curl jq
}

# Turns SOURCE into what the edge reads: a file by its absolute path. The URL may
# hold a password, so no message repeats it.
check_source() {
	local path=$source
	case $source in
	'' | test:) return ;;
	file:*) path=${source#file:} path=${path#//} ;;
	*://*) return ;;
	esac
	[[ -e $path ]] || die "SOURCE=$path: there is no such file; give a file, or a URL like https://host/live.m3u8"
	[[ -f $path && -r $path ]] || die "SOURCE=$path: not a file that can be read"
	source=file:$(realpath "$path")
}

# Claims the data folder for as long as this script runs; the edge claims its
# state folder in the same way, and may outlive a script that was killed.
claim_data() {
	umask 077
	mkdir -p "$data/state" || die "DATA=$data cannot be made; choose another folder: make run DATA=/path"
	data=$(cd "$data" && pwd)
	exec 9>>"$data/run.lock" || die "DATA=$data cannot be written; choose another folder: make run DATA=/path"
	if command -v flock >/dev/null && ! { flock -n 9 && flock -n 8 8>>"$data/state/lock"; }; then
		die "another make run uses $data (its edge is process $(jq .pids.edge "$data/run.json" 2>/dev/null || echo unknown)); stop it, or give this one a folder and a port of its own: make run DATA=/path PORT=8090"
	fi
}

listens() {
	(: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Caddy would share a port that another Caddy holds, so that nobody would notice.
check_port() {
	[[ $port =~ ^[1-9][0-9]{0,4}$ && $port -le 65535 ]] || die "PORT=$port is not a port; use a number from 1 to 65535"
	! listens "$port" || die "port $port is in use on 127.0.0.1; choose another: make run PORT=$((port < 65535 ? port + 1 : 8080))"
}

# ---- what the edge needs ----

# Prints a free port, one of 6000 from $1 on. They are taken from below those that
# the system hands out for outgoing connections.
free_port() {
	local candidate
	while candidate=$(($1 + RANDOM % 6000)); do
		if [[ $candidate -ne $port ]] && ! listens "$candidate"; then
			echo "$candidate"
			return
		fi
	done
}

# A key signs tokens. It is 32 random octets, made once.
make_key() {
	[[ -s $data/key ]] && return
	head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n' >"$data/key.new"
	mv "$data/key.new" "$data/key"
}

write_caddyfile() {
	local edit=(-e "s/{\$PORT}/$port/g" -e "s/{\$ADMIN_PORT}/$admin_port/" -e "s/{\$STATUS_PORT}/$status_port/")
	[[ $source ]] || edit+=(-e '/# The user.s own feed/,/^[[:space:]]*}$/d')
	sed "${edit[@]}" "$here/Caddyfile" >"$data/Caddyfile"
}

# Puts the page into the data folder, and hls.js beside it if npm can get it. The
# page says what is missing, and plays without where the browser can.
make_page() {
	local log=$data/npm.log player=$here/page/node_modules/hls.js
	player_note=
	mkdir -p "$data/page"
	rm -f "$data/page/hls.min.js"
	cp "$here"/page/*.html "$here"/page/*.css "$here"/page/*.js "$data/page/"
	if [[ $(jq -r .version "$player/package.json" 2>/dev/null) != $(jq -r '.dependencies["hls.js"]' "$here/page/package.json") ]]; then
		if ! command -v npm >/dev/null; then
			player_note="Node.js with npm was not found; install it and run make run again"
		elif ! (umask 022 && cd "$here/page" && npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=1 --fetch-timeout=20000) >"$log" 2>&1 </dev/null; then
			player_note="npm could not get it ($log says why); when it can, run make run again"
		fi
	fi
	if [[ -z $player_note ]]; then
		cp "$player/dist/hls.min.js" "$data/page/"
		rm -f "$log"
	else
		echo "The page plays without hls.js where the browser can: $player_note." >&2
	fi
}

# Tokens for a day. The key stays in its file, the tokens out of every log and, as
# others can see those, out of every argument.
mint_tokens() {
	local id token
	for id in "${streams[@]}"; do
		token=$("$edge" token mint --stream "$id" --short --expires-in 24h --secret-file "$data/key")
		urls[$id]=http://127.0.0.1:$port/live/$token/$id/index.m3u8
	done
	# Within the page addresses have no host: it may be opened as localhost, too.
	list_urls | jq -Rn --arg note "$player_note" \
		'{$note, streams: [inputs / "\t" | {id: .[0], url: (.[1] | sub("^http://[^/]*"; ""))}]}' >"$data/page/streams.json"
}

list_urls() {
	local id
	for id in "${streams[@]}"; do printf '%s\t%s\n' "$id" "${urls[$id]}"; done
}

# ---- the edge ----

start_edge() {
	# Everything that Caddy keeps goes into the data folder, too.
	cd "$data"
	HEADRACE_SOURCE=$source XDG_DATA_HOME=$data/caddy XDG_CONFIG_HOME=$data/caddy \
		"$edge" run --config Caddyfile --adapter caddyfile 2>edge.log 9>&- &
	edge_pid=$!
}

edge_runs() {
	[[ $edge_pid ]] && kill -0 "$edge_pid" 2>/dev/null
}

stop_edge() {
	edge_runs || return 0
	kill -TERM "$edge_pid" 2>/dev/null || true
	local end=$((SECONDS + stop_patience))
	while edge_runs && ((SECONDS < end)); do sleep 0.1; done
	if edge_runs; then
		echo "the edge did not stop within $stop_patience s: killing it" >&2
		kill -KILL "$edge_pid" 2>/dev/null || true
	fi
	wait "$edge_pid" 2>/dev/null || true
}

clean_up() {
	local code=$?
	trap '' INT TERM HUP # it stops already
	if [[ $edge_pid ]]; then
		stop_edge
		rm -f "$data/run.json"
	fi
	exit "$code"
}

# The last lines of the log that are not routine.
last_words() {
	{ grep -v '^{"level":"info"' "$data/edge.log" || cat "$data/edge.log"; } | tail -n 15
}

check_edge() {
	edge_runs && return
	echo "the edge has ended; $data/edge.log closes with:" >&2
	last_words >&2
	exit 1
}

# ---- waiting ----

status() {
	curl -sf --max-time 2 "http://127.0.0.1:$admin_port/edge/streams" || echo '[]'
}

# Says of one stream what it does, from the answer of status.
describe() {
	jq -r --arg id "$1" 'map(select(.id == $id))[0] // {state: "unknown"} | .state + (if .reason then ", " + .reason else "" end)'
}

plays() {
	printf 'url = "%s"\n' "${urls[$1]}" | curl -sf --max-time 2 -o /dev/null -K -
}

wait_for() {
	local id=$1 end=$((SECONDS + $2))
	until plays "$id"; do
		check_edge
		((SECONDS < end)) || return 1
		sleep 0.2
	done
}

wait_for_streams() {
	local id
	for id in bars ladder; do
		wait_for "$id" "$patience" || {
			echo "$id does not play after $patience s: $(status | describe "$id")" >&2
			last_words >&2
			exit 1
		}
	done
	if [[ $source ]] && ! wait_for source "$source_patience"; then
		echo "source does not play after $source_patience s: $(status | describe source)" >&2
		echo "The edge keeps trying; http://127.0.0.1:$admin_port/edge/streams/source says more." >&2
	fi
}

write_run_json() {
	list_urls | jq -Rn --arg page "http://127.0.0.1:$port/" --arg admin "http://127.0.0.1:$admin_port" \
		--argjson edge "$edge_pid" --argjson streams "$(status)" '{
			$page,
			playlists: ([inputs / "\t" | {(.[0]): .[1]}] | add),
			$admin,
			pids: ({$edge} + ([$streams[] | select(.pid > 0) | {("ffmpeg-" + .id): .pid}] | add))
		}' >"$data/run.json.new"
	mv "$data/run.json.new" "$data/run.json"
}

tell() {
	cat <<-END

		Open   http://127.0.0.1:$port/

		or play one of these in VLC, mpv or ffplay (they hold a token that is good for 24 hours):
		$(list_urls | sed 's/^/  /')

		Admin  http://127.0.0.1:$admin_port/edge/streams
		Log    $data/edge.log
		Stop   Ctrl-C

	END
}

check_programs
check_source
[[ -z $source ]] || streams+=(source)
claim_data
check_port

trap 'exit 0' INT TERM HUP
trap clean_up EXIT

rm -f "$data/run.json"
admin_port=$(free_port 20000)
status_port=$(free_port 26000)
make_key
write_caddyfile
make_page
mint_tokens
start_edge
wait_for_streams
write_run_json
tell
# Whoever stopped the edge in good order, and not through us, meant all of it.
wait "$edge_pid" && exit 0
check_edge

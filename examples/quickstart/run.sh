#!/usr/bin/env bash
# Runs a control plane and an edge on this machine, with a demo reseller, a viewer
# account and two test channels, and with SOURCE a third from a feed of your own.
# `make run` builds the programs and calls this.
#
#   PORT        where the edge serves, on 127.0.0.1 (8080)
#   API_PORT    where the control plane serves, on 127.0.0.1 (ten above PORT)
#   DATA        the folder that they work in (data, beside the Makefile)
#   SOURCE      a feed to play: a URL (http, https, rtmp, srt, udp) or a file
#   EDGE        the programs (bin/edge and bin/controlapi, beside the Makefile)
#   CONTROLAPI
#
# Once every stream plays, $DATA/run.json says what is where:
# {"page": URL, "playlists": {stream: URL}, "api": URL, "api_key": the operator's,
# "admin": URL, "pids": {name: pid}}.
# When one of the two dies, the other runs on. Ctrl-C stops everything.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
port=${PORT:-8080}
data=${DATA:-$root/data}
edge=${EDGE:-$root/bin/edge}
controlapi=${CONTROLAPI:-$root/bin/controlapi}
source=${SOURCE:-}

streams=(bars ladder)
# How long the test channels may take to play, how long we wait for SOURCE, and
# how long a program may take to stop. Seconds.
patience=60
source_patience=20
stop_patience=12

started=
declare -A urls # by stream

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# ---- checks ----

check_programs() {
	local program
	for program in "$edge" "$controlapi"; do
		[[ -x $program ]] || die "$program is not there; build it with: make build"
	done
	edge=$(realpath "$edge") controlapi=$(realpath "$controlapi")
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
# state folder in the same way, and may outlive a script that was killed, as the
# control plane may.
claim_data() {
	umask 077
	mkdir -p "$data/state" || die "DATA=$data cannot be made; choose another folder: make run DATA=/path"
	data=$(cd "$data" && pwd)
	exec 9>>"$data/run.lock" || die "DATA=$data cannot be written; choose another folder: make run DATA=/path"
	if command -v flock >/dev/null && ! { flock -n 9 && flock -n 8 8>>"$data/state/lock"; }; then
		die "another make run uses $data (its edge is process $(jq .pids.edge "$data/run.json" 2>/dev/null || echo unknown)); stop it, or give this one a folder and a port of its own: make run DATA=/path PORT=8100"
	fi
	! runs controlapi || die "the control plane of an earlier make run still uses $data (process $(<"$data/controlapi.pid")); stop it: kill $(<"$data/controlapi.pid")"
}

listens() {
	(: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Caddy would share a port that another Caddy holds, so that nobody would notice.
check_port() {
	[[ $port =~ ^[1-9][0-9]{0,4}$ && $port -le 65535 ]] || die "PORT=$port is not a port; use a number from 1 to 65535"
	! listens "$port" || die "port $port is in use on 127.0.0.1; choose another: make run PORT=$((port < 65535 ? port + 1 : 8080))"
	if [[ ${API_PORT:-} ]]; then
		api_port=$API_PORT
		[[ $api_port =~ ^[1-9][0-9]{0,4}$ && $api_port -le 65535 && $api_port -ne $port ]] || die "API_PORT=$api_port is not a port, or that of the edge; use another number from 1 to 65535"
		! listens "$api_port" || die "port $api_port is in use on 127.0.0.1; choose another: make run API_PORT=$((api_port < 65535 ? api_port + 1 : 8090))"
	else
		api_port=$((port + 10))
		if ((api_port > 65535)) || listens "$api_port"; then api_port=$(free_port 14000); fi
	fi
	api=http://127.0.0.1:$api_port
}

# ---- what they need ----

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

write_caddyfile() {
	sed -e "s/{\$PORT}/$port/g" -e "s/{\$API_PORT}/$api_port/" -e "s/{\$ADMIN_PORT}/$admin_port/" -e "s/{\$STATUS_PORT}/$status_port/" \
		"$here/Caddyfile" >"$data/Caddyfile"
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

# lives PID: does it, not counting one that is dead and not yet buried?
lives() {
	local line
	kill -0 "$1" 2>/dev/null || return 1
	[[ -e /proc/$1/stat ]] || return 0
	read -r line 2>/dev/null <"/proc/$1/stat" && [[ ${line##*) } != Z* ]]
}

# Writes what starts a program, so that whoever finds it dead can bring it back.
# Everything that Caddy keeps goes into the data folder, too.
write_starter() {
	local name=$1 environment=$2
	shift 2
	cat >"$data/start-$name" <<-END
		#!/usr/bin/env bash
		# Starts the $name of this make run, which goes on while it runs. Made by make run.
		set -eu
		cd $(printf %q "$data")
		$(declare -f lives)
		if pid=\$(cat $name.pid 2>/dev/null) && lives "\$pid"; then
			echo "$name runs already, as process \$pid" >&2
			exit 1
		fi
		$environment $(printf '%q ' "$@") 2>>$name.log 9>&- &
		echo \$! >$name.pid
	END
	chmod 700 "$data/start-$name"
}

# ---- the two programs ----

start() {
	started="$1 $started"
	: >"$data/$1.log"
	rm -f "$data/$1.pid"
	"$data/start-$1"
}

runs() {
	local pid
	pid=$(cat "$data/$1.pid" 2>/dev/null) && lives "$pid"
}

stop() {
	runs "$1" || return 0
	local pid end=$((SECONDS + stop_patience))
	pid=$(<"$data/$1.pid")
	kill -TERM "$pid" 2>/dev/null || true
	while runs "$1" && ((SECONDS < end)); do sleep 0.1; done
	if runs "$1"; then
		echo "the $1 did not stop within $stop_patience s: killing it" >&2
		kill -KILL "$pid" 2>/dev/null || true
	fi
	rm -f "$data/$1.pid"
}

clean_up() {
	local code=$? name
	trap '' INT TERM HUP # it stops already
	for name in $started; do stop "$name"; done
	if [[ $started ]]; then rm -f "$data/run.json" "$data"/start-*; fi
	exit "$code"
}

# The last lines of a log that are not routine.
last_words() {
	{ grep -v '^{"level":"info"' "$data/$1.log" || cat "$data/$1.log"; } | tail -n 15
}

check() {
	local name
	for name in $started; do
		runs "$name" && continue
		echo "the $name has ended; $data/$name.log closes with:" >&2
		last_words "$name" >&2
		exit 1
	done
}

# ---- the control plane ----

# A first start makes the database, and the operator's key, which is shown this once.
make_operator() {
	[[ -s $data/operator.key && -e $data/control/control.db ]] && return
	rm -f "$data/operator.key" "$data/edge.token" "$data/play_key"
	[[ ! -e $data/control ]] || die "$data/operator.key is missing: the database in $data/control is no use without it; move that folder away and run make run again"
	"$controlapi" init --data "$data/control" >"$data/operator.new" 2>"$data/controlapi.log" || {
		last_words controlapi >&2
		die "the control plane's database could not be made in $data/control"
	}
	mv "$data/operator.new" "$data/operator.key"
}

wait_for_api() {
	local end=$((SECONDS + patience))
	until curl -sf --max-time 2 -o /dev/null "$api/healthz"; do
		check
		((SECONDS < end)) || die "the control plane does not answer after $patience s; $data/controlapi.log may say why"
		sleep 0.1
	done
}

seed() {
	API=$api KEY=$data/operator.key EDGE_URL=http://127.0.0.1:$port SOURCE=$source OUT=$data "$here/seed.sh"
}

join_edge() {
	[[ -s $data/edge.token ]] && return
	"$edge" join "$api" - --token-file "$data/edge.token" <"$data/join_code" >"$data/join.log" 2>&1 || {
		cat "$data/join.log" >&2
		die "the edge could not join the control plane"
	}
	rm -f "$data/join_code" "$data/join.log"
}

# What a reseller's site would do for a viewer: an edge, and a token for it.
ask_playback() {
	printf 'header = "Authorization: Bearer %s"\n' "$(<"$data/operator.key")" |
		curl -s --max-time 3 -K - -H 'Content-Type: application/json' -d "{\"user_id\": \"demo\", \"stream_id\": \"$1\"}" "$api/v1/playback"
}

# The page asks the control plane, as every viewer's player would. Its key is good for
# this viewer account alone.
list_channels() {
	local id
	for id in "${streams[@]}"; do printf '%s\t%s/play/%s?key=%s\n' "$id" "$api" "$id" "$(<"$data/play_key")"; done |
		jq -Rn --arg note "$player_note" '{$note, streams: [inputs / "\t" | {id: .[0], url: .[1]}]}' >"$data/page/streams.json"
}

list_urls() {
	local id
	for id in "${streams[@]}"; do [[ -z ${urls[$id]:-} ]] || printf '%s\t%s\n' "$id" "${urls[$id]}"; done
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
	local answer
	answer=$(ask_playback "$1") || return 1
	urls[$1]=$(jq -r '.url // ""' <<<"$answer")
	[[ ${urls[$1]} ]] && printf 'url = "%s"\n' "${urls[$1]}" | curl -sf --max-time 2 -o /dev/null -K -
}

wait_for() {
	local id=$1 end=$((SECONDS + $2))
	until plays "$id"; do
		check
		((SECONDS < end)) || return 1
		sleep 0.2
	done
}

wait_for_streams() {
	local id
	for id in bars ladder; do
		wait_for "$id" "$patience" || {
			echo "$id does not play after $patience s: $(status | describe "$id"); the control plane says: $(ask_playback "$id" | jq -r '.detail // "ask the edge"')" >&2
			last_words edge >&2
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
		--arg api "$api" --rawfile api_key "$data/operator.key" \
		--argjson edge "$(cat "$data/edge.pid")" --argjson controlapi "$(cat "$data/controlapi.pid")" --argjson streams "$(status)" '{
			$page,
			playlists: ([inputs / "\t" | {(.[0]): .[1]}] | add),
			$api, api_key: ($api_key | rtrimstr("\n")),
			$admin,
			pids: ({$controlapi, $edge} + ([$streams[] | select(.pid > 0) | {("ffmpeg-" + .id): .pid}] | add))
		}' >"$data/run.json.new"
	mv "$data/run.json.new" "$data/run.json"
}

tell() {
	cat <<-END

		Open   http://127.0.0.1:$port/         the player
		       $api/docs     the control plane's API

		or play one of these in VLC, mpv or ffplay (they hold a token that is good for 24 hours):
		$(list_urls | sed 's/^/  /')

		Key    $data/operator.key, for the API
		Admin  http://127.0.0.1:$admin_port/edge/streams
		Logs   $data/edge.log, $data/controlapi.log
		Stop   Ctrl-C

	END
}

# Says when one dies, what that means, and how to bring it back.
watch_over() {
	local name
	declare -A gone
	while sleep 0.5; do
		for name in controlapi edge; do
			if runs "$name"; then
				[[ ${gone[$name]:-} ]] || continue
				gone[$name]=
				echo "The $name is back, as process $(<"$data/$name.pid")."
				write_run_json
			elif [[ -z ${gone[$name]:-} ]]; then
				gone[$name]=yes
				echo "The $name has ended. $(consequence "$name")"
				last_words "$name" | tail -n 3
				echo "Bring it back, in another shell: $data/start-$name"
			fi
		done
		[[ -z ${gone[controlapi]:-} || -z ${gone[edge]:-} ]] || die "both have ended; $data/edge.log and $data/controlapi.log say why"
	done
}

consequence() {
	case $1 in
	controlapi) echo "Who watches goes on watching, and tokens stay good; nothing can be changed." ;;
	edge) echo "Nobody can watch; the control plane goes on answering." ;;
	esac
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
make_operator
write_starter controlapi "" "$controlapi" serve --data control --listen "127.0.0.1:$api_port"
write_starter edge "$(printf 'XDG_DATA_HOME=%q XDG_CONFIG_HOME=%q' "$data/caddy" "$data/caddy")" "$edge" run --config Caddyfile --adapter caddyfile
start controlapi
make_page
wait_for_api
seed
join_edge
write_caddyfile
list_channels
start edge
wait_for_streams
write_run_json
tell
watch_over

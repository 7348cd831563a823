#!/bin/sh
# Makes sure that programs are there, and installs those that are not.
#
#   test/need.sh PROGRAM...
#
# Says nothing if nothing is missing. On Debian and Ubuntu what is missing is
# installed with apt-get, as root or with a sudo that asks for no password;
# otherwise the command to run is printed and the exit code is 1.
set -eu

# Debian keeps some programs, nginx for one, out of an ordinary user's PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# It keeps the servers of each version of Postgres in a folder of their own.
for folder in /usr/lib/postgresql/*/bin; do
	PATH=$PATH:$folder
done

# Prints the Debian packages that a program takes. Where there are several, the
# program is of no use to us without the others: they are its plugins.
packages() {
	case $1 in
	ffmpeg | ffprobe | ffplay) echo ffmpeg ;;
	node) echo nodejs ;;
	nginx) echo nginx-light ;;
	cvlc | vlc) echo vlc-bin vlc-plugin-base ;;
	gst-launch-1.0 | gst-inspect-1.0)
		echo gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
			gstreamer1.0-plugins-bad gstreamer1.0-libav
		;;
	ps | pgrep) echo procps ;;
	flock | setpriv | taskset) echo util-linux ;;
	ip) echo iproute2 ;;
	initdb | postgres) echo postgresql ;;
	npm | mpv | chromium | strace | curl | jq | openssl | make) echo "$1" ;;
	*)
		echo "need.sh: no package is known for $1; add it to the list in $0" >&2
		return 2
		;;
	esac
}

installed() {
	dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# Is program $1, made up of the packages that follow, ready for use?
there() {
	command -v "$1" >/dev/null 2>&1 || return 1
	shift
	# A program of one package may as well come from elsewhere.
	if [ $# -gt 1 ] && command -v dpkg-query >/dev/null 2>&1; then
		for package; do
			installed "$package" || return 1
		done
	fi
}

missing="" wanted=""
for program; do
	list=$(packages "$program")
	# The list is words, to be split.
	# shellcheck disable=SC2086
	if ! there "$program" $list; then
		missing="$missing $program"
		wanted="$wanted $list"
	fi
done
[ -n "$missing" ] || exit 0

# shellcheck disable=SC2086
wanted=$(printf '%s\n' $wanted | sort -u | tr '\n' ' ')
wanted=${wanted% }

if ! command -v apt-get >/dev/null 2>&1; then
	echo "missing:$missing; install them with this system's own packages (Debian's are called $wanted)" >&2
	exit 1
fi
if [ "$(id -u)" = 0 ]; then
	as_root=''
elif sudo -n true >/dev/null 2>&1; then
	as_root='sudo -n'
else
	echo "missing:$missing; install them and try again:" >&2
	echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $wanted" >&2
	exit 1
fi

echo "installing $wanted" >&2
apt() {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >/dev/null
}
# The lists that are there may do, so that only the installation decides.
apt update || true
# shellcheck disable=SC2086
apt install -y --no-install-recommends $wanted

for program in $missing; do
	# shellcheck disable=SC2046
	there "$program" $(packages "$program") || {
		echo "$program is still missing after installing $wanted" >&2
		exit 1
	}
done

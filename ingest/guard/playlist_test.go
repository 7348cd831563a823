package guard

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace/headrace/ingest/ffmpeg"
	"github.com/headrace/headrace/ingest/source"
)

const base = "https://origin.example:8443/live/news/index.m3u8?key=secret"

func rewritten(t *testing.T, as role, text string) (string, error) {
	t.Helper()
	from, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	out, err := rewrite([]byte(text), from, as)
	return string(out), err
}

func TestRewrite(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{
			"media playlist", "#EXTM3U\r\n#EXT-X-VERSION:3\r\n#EXT-X-TARGETDURATION:6\r\n#EXT-X-MEDIA-SEQUENCE:7\r\n\r\n#EXTINF:6.0,\r\n7.ts?a=1&b=2\r\n#EXT-X-DISCONTINUITY\r\n#EXTINF:6,title\r\n/other/8.ts\r\n#EXT-X-ENDLIST\r\n",
			"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:6.0,\nhttp://media/https/origin.example:8443/live/news/7.ts?a=1&b=2\n#EXT-X-DISCONTINUITY\n#EXTINF:6,title\nhttp://media/https/origin.example:8443/other/8.ts\n#EXT-X-ENDLIST\n",
		},
		{
			"multivariant playlist", "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English, loud\",URI=\"en/index.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nhttp://cdn.example/v.m3u8\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"tcp://127.0.0.1:1/\"\n",
			"#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English, loud\",URI=\"http://playlist/https/origin.example:8443/live/news/en/index.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nhttp://playlist/http/cdn.example/v.m3u8\n",
		},
		{
			"keys and init sections", "#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"key.bin\",IV=0x01\n#EXT-X-MAP:URI=\"//cdn.example/i.mp4\",BYTERANGE=\"10@0\"\n#EXTINF:2,\n#EXT-X-BYTERANGE:5@6\n../s.m4s\n",
			"#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"http://media/https/origin.example:8443/live/news/key.bin\",IV=0x01\n#EXT-X-MAP:URI=\"http://media/https/cdn.example/i.mp4\",BYTERANGE=\"10@0\"\n#EXTINF:2,\n#EXT-X-BYTERANGE:5@6\nhttp://media/https/origin.example:8443/live/s.m4s\n",
		},
		{
			"no key", "#EXTM3U\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:2,\na.ts\n",
			"#EXTM3U\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:2,\nhttp://media/https/origin.example:8443/live/news/a.ts\n",
		},
		{
			"what is unknown is left out", "#EXTM3U\n# tcp://127.0.0.1/\n#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"file:///etc/passwd\"\n#EXT-X-PART:URI=\"tcp://x:1/\"\nstray.ts\n#EXTINF:2,\na.ts\nanother-stray.ts\n",
			"#EXTM3U\n#EXTINF:2,\nhttp://media/https/origin.example:8443/live/news/a.ts\n",
		},
		{
			"addresses without quotes, and names that are none", "#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,X\"=1,URI=key.bin\n#EXTINF:2,\na b.ts\n",
			"#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"http://media/https/origin.example:8443/live/news/key.bin\"\n#EXTINF:2,\nhttp://media/https/origin.example:8443/live/news/a%20b.ts\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := rewritten(t, whole, tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("playlists differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRewriteRefuses(t *testing.T) {
	const head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
	for _, tt := range []struct {
		name, text string
		as         role
		want       ffmpeg.Failure
	}{
		{"raw tcp", head + "#EXTINF:2,\ntcp://127.0.0.1:80/x.ts\n", whole, ffmpeg.FailureForbidden},
		{"raw tcp as a variant", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ntcp://127.0.0.1:80/x.m3u8\n", whole, ffmpeg.FailureForbidden},
		{"a file", head + "#EXTINF:2,\nfile:///etc/passwd\n", playlist, ffmpeg.FailureForbidden},
		{"a file behind a NUL", head + "#EXTINF:2,\x00file:///etc/passwd\n", whole, ffmpeg.FailureForbidden},
		{"a file behind a lone CR", "#EXTM3U\r#EXTINF:2,\rfile:///etc/passwd\r", whole, ffmpeg.FailureForbidden},
		{"gopher", head + "#EXTINF:2,\ngopher://x/\n", whole, ffmpeg.FailureForbidden},
		{"concat", head + "#EXTINF:2,\nconcat:a|b\n", whole, ffmpeg.FailureForbidden},
		{"nested protocols", head + "#EXTINF:2,\ncrypto+tcp://127.0.0.1/\n", whole, ffmpeg.FailureForbidden},
		{"a key by file", head + "#EXT-X-KEY:METHOD=AES-128,URI=\"file:///etc/passwd\"\n#EXTINF:2,\na.ts\n", whole, ffmpeg.FailureForbidden},
		{"a key by an escaped scheme", head + "#EXT-X-KEY:METHOD=AES-128,URI=\"fi\\le:///etc/passwd\"\n#EXTINF:2,\na.ts\n", whole, ffmpeg.FailureForbidden},
		{"no host", head + "#EXTINF:2,\nhttp:///x\n", whole, ffmpeg.FailureInvalid},
		{"no address", head + "#EXTINF:2,\nhttp://[::1/x\n", whole, ffmpeg.FailureInvalid},
		{"variants in a variant", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n", playlist, ffmpeg.FailureInvalid},
		{"audio in a variant", head + "#EXT-X-MEDIA:TYPE=AUDIO,URI=\"a.m3u8\"\n#EXTINF:2,\na.ts\n", playlist, ffmpeg.FailureInvalid},
		{"both kinds", head + "#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n#EXTINF:2,\na.ts\n", whole, ffmpeg.FailureInvalid},
		{"one address for both", head + "#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXTINF:2,\na.ts\n", whole, ffmpeg.FailureInvalid},
		{"too many variants", "#EXTM3U\n" + strings.Repeat("#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n", maxListed+1), whole, ffmpeg.FailureInvalid},
		{"a line that FFmpeg would cut", head + "#EXTINF:2,\n" + strings.Repeat("a", maxLine) + "\n", whole, ffmpeg.FailureInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := rewritten(t, tt.as, tt.text)
			var failed *source.Error
			if !errors.As(err, &failed) || failed.Failure != tt.want {
				t.Errorf("got %q, %v; want it refused as %q", got, err, tt.want)
			}
		})
	}
}

// FuzzRewrite checks what FFmpeg would find in a rewritten playlist: no address but
// surrogates, wherever it looks for one.
func FuzzRewrite(f *testing.F) {
	f.Add("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:2,\na.ts\n")
	f.Add("#EXTM3U\r#EXT-X-STREAM-INF:BANDWIDTH=1\rhttp://h/v.m3u8\x00#EXTINF:1\n")
	f.Add("#EXTM3U\n#EXT-X-MAP:URI=tcp://h:1/,X=\"\\\"\"\n")
	f.Add("#EXTM3U\n#EXT-X-MEDIA:A=\",URI=\"x\",URI=\"y\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := rewritten(t, whole, text)
		if err != nil {
			return
		}
		if strings.ContainsAny(got, "\r\x00") {
			t.Fatalf("%q holds an end of line that is none for others", got)
		}
		for line := range strings.Lines(got) {
			line = strings.TrimSuffix(line, "\n")
			if !strings.HasPrefix(line, "#") {
				checkSurrogate(t, line)
				continue
			}
			tag, value, _ := strings.Cut(line, ":")
			if _, ok := addressed[tag]; !ok {
				continue
			}
			for _, a := range attributes(value) {
				if a.name == "URI" {
					checkSurrogate(t, a.value)
				}
			}
		}
	})
}

// checkSurrogate checks that an address is one that the guard reads back.
func checkSurrogate(t *testing.T, text string) {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || (u.Host != string(media) && u.Host != string(playlist)) {
		t.Fatalf("%q is no surrogate", text)
	}
	as, target, err := new(Proxy).requested(u)
	if err != nil {
		t.Fatalf("%q is not understood: %v", text, err)
	}
	if again := surrogate(as, target); again != text {
		t.Fatalf("%q was read as %q", text, again)
	}
}

package ffmpeg

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestArgsOfRenditions(t *testing.T) {
	network := HTTPInput("http://source/news/index.m3u8", true)
	pattern := TestInput("news", 360, time.Hour)
	for _, tt := range []struct {
		name       string
		job        Job
		want, deny []string
	}{
		{
			"a copy beside a transcode shares the source's keyframes",
			Job{Input: network, Keyframes: 2 * time.Second, Renditions: []Rendition{{Name: "source", Copy: true}, {Name: "480p", Height: 480, VideoBitrate: 1_200_000, AudioBitrate: 128_000}}},
			[]string{"-c copy", "pipe:4", "pipe:5", "-force_key_frames source", "-vf scale=-2:480", "-b:v 1200000", "-preset veryfast"},
			[]string{"expr:"},
		},
		{
			"transcodes alone have keyframes of their own",
			Job{Input: network, Keyframes: 2 * time.Second, Renditions: []Rendition{{Name: "a", VideoBitrate: 1_000_000, AudioBitrate: 96_000}}},
			[]string{"prev_forced_t+2)", "pipe:4"},
			[]string{"-vf", "-force_key_frames source"},
		},
		{
			"a test pattern cannot be copied",
			Job{Input: pattern, Keyframes: 2 * time.Second, Renditions: []Rendition{{Name: "source", Copy: true}}},
			[]string{"-c:v libx264", "-preset ultrafast", "setpts=PTS+3600/TB"},
			[]string{"-c copy", "-itsoffset"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(tt.job.Args(), " ")
			for _, w := range tt.want {
				if !strings.Contains(got, w) {
					t.Errorf("got %s, want it to hold %q", got, w)
				}
			}
			for _, d := range tt.deny {
				if strings.Contains(got, d) {
					t.Errorf("got %s, want it without %q", got, d)
				}
			}
		})
	}
}

func TestTheAddressIsOneArgumentBehindItsFlag(t *testing.T) {
	const url = "http://host/a b -y /etc/passwd.m3u8"
	args := Job{Input: HTTPInput(url, true), Renditions: []Rendition{{Copy: true}}}.Args()
	i := slices.Index(args, url)
	if i < 1 || args[i-1] != "-i" {
		t.Errorf("got %q, want the URL whole behind -i", args)
	}
}

func TestTestPatternTakesNoTextFromOutside(t *testing.T) {
	in := TestInput("a':x=1[evil];movie=/etc/passwd,b", 360, 0)
	if got := strings.Join(in.Options, " "); strings.Contains(got, "movie=") || strings.Contains(got, "[evil]") {
		t.Errorf("the name reaches the filter graph: %s", got)
	}
}

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		name string
		line string
		want Failure
	}{
		{"refused port", "[error] http://127.0.0.1:9/x: Connection refused", FailureUnreachable},
		{"not found", "[error] Server returned 404 Not Found", FailureStatus},
		{"forbidden", "[http @ 0x1] [error] HTTP error 403 Forbidden", FailureRefused},
		{"no media", "[error] http://host/x: Invalid data found when processing input", FailureInvalid},
		{"no file", "[error] file:/nowhere.ts: No such file or directory", FailureUnreachable},
		{"silent host", "[error] tcp://h: Connection timed out", FailureTimeout},
		{"lacking encoder", "[fatal] Unknown encoder 'libx264'", FailureUnsupported},
		{"nothing known", "[warning] deprecated pixel format used", FailureNone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Classify([]string{"[info] something", tt.line, "[info] last"}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestProgressParser(t *testing.T) {
	// As FFmpeg 5.1.9 prints it: the first block holds N/A and may be negative.
	const text = "frame=0\nfps=0.00\nbitrate=N/A\ntotal_size=0\nout_time_us=-21333\nout_time=-00:00:00.021333\ndup_frames=0\ndrop_frames=0\nspeed=N/A\nprogress=continue\n" +
		"frame=112\nout_time_us=4458667\ndrop_frames=3\nspeed=   1x\nprogress=end\n"
	var p ProgressParser
	var got []Progress
	for line := range strings.Lines(text) {
		if block, ok := p.Line(line); ok {
			got = append(got, block)
		}
	}
	want := []Progress{{}, {Frame: 112, DropFrames: 3, OutTime: 4458667 * time.Microsecond, Speed: 1, End: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("blocks differ (-want +got):\n%s", diff)
	}
}

func FuzzProgress(f *testing.F) {
	for _, s := range []string{"frame=1\nprogress=continue", "speed=1.01x\nprogress=end", "out_time_us=N/A\nprogress=end", "speed=NaNx\nprogress=end", "=\n\n==", "frame=99999999999999999999\nprogress=end"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var p ProgressParser
		for line := range strings.Lines(s) {
			b, _ := p.Line(line)
			if b.Frame < 0 || b.OutTime < 0 || !(b.Speed >= 0 && b.Speed < 1e6) {
				t.Fatalf("got %+v from %q, want nothing negative and a speed that is a number", b, s)
			}
		}
	})
}

func TestParseBuild(t *testing.T) {
	const encoders = "Encoders:\n V..... = Video\n ------\n V....D libx264 H.264\n A....D aac AAC\n"
	for _, tt := range []struct {
		name, version string
		wantVersion   string
		wantErr       string
	}{
		{"Debian 12", "ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026\nbuilt with gcc", "5.1.9-0+deb12u1", ""},
		{"a release of its own", "ffmpeg version n7.1 Copyright", "n7.1", ""},
		{"a build from the repository", "ffmpeg version N-109468-gd39b34123d Copyright", "N-109468-gd39b34123d", ""},
		{"too old", "ffmpeg version 4.4.2-0ubuntu0.22.04.1 Copyright", "4.4.2-0ubuntu0.22.04.1", "too old; install 5.1"},
		{"another program", "usage: something", "", "does not answer"},
		{"silence", "", "", "does not answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := ParseBuild(tt.version, encoders, "")
			if b.Version != tt.wantVersion {
				t.Errorf("got version %q, want %q", b.Version, tt.wantVersion)
			}
			if (err != nil) != (tt.wantErr != "") || (err != nil && !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("got error %v, want %q", err, tt.wantErr)
			}
			if err == nil && (!b.Encoders["libx264"] || !b.Encoders["aac"] || b.Encoders["="]) {
				t.Errorf("got encoders %v, want libx264 and aac", b.Encoders)
			}
		})
	}
}

func TestCheckNamesWhatIsMissing(t *testing.T) {
	b := Build{Version: "5.1.9", Encoders: map[string]bool{"aac": true}, Filters: map[string]bool{}}
	copyJob := Job{Renditions: []Rendition{{Copy: true}}}
	if err := b.Check(copyJob); err != nil {
		t.Errorf("a copy needs no encoder, got %v", err)
	}
	err := b.Check(Job{Renditions: []Rendition{{VideoBitrate: 1}}})
	if err == nil || !strings.Contains(err.Error(), `"libx264"`) {
		t.Errorf("got %v, want an error that names libx264", err)
	}
	b.Encoders["libx264"] = true
	err = b.Check(Job{Input: Input{Generated: true}, Renditions: []Rendition{{Copy: true}}})
	if err == nil || !strings.Contains(err.Error(), `filter "smptebars"`) {
		t.Errorf("got %v, want an error that names the filter", err)
	}
}

func TestCores(t *testing.T) {
	rung := func(height int) Rendition {
		return Rendition{Height: height, VideoBitrate: 1_000_000, AudioBitrate: 128_000}
	}
	copies := Job{Renditions: []Rendition{{Copy: true}}}
	ladder := Job{Renditions: []Rendition{{Copy: true}, rung(720), rung(480)}}
	slow, hardware, loud := ladder, ladder, ladder
	slow.Encoding.Preset, hardware.Encoding.Hardware.Kind, loud.Encoding.Loudness = "medium", VAAPI, -23
	radio := Job{Renditions: []Rendition{{AudioOnly: true, AudioBitrate: 96_000}}}
	for _, tt := range []struct {
		name        string
		job         Job
		least, most float64
	}{
		{"a copy", copies, 0.01, 0.05},
		{"sound only", radio, 0.01, 0.1},
		{"a ladder of two rungs beside a copy", ladder, 0.6, 1.2},
		{"the same with a slow preset", slow, 1.2, 2.5},
		{"the same in hardware", hardware, 0.2, 0.5},
		{"the same with its loudness corrected", loud, ladder.Cores() + 0.1, ladder.Cores() + 0.2},
	} {
		if got := tt.job.Cores(); got < tt.least || got > tt.most {
			t.Errorf("%s: got %.2f cores, want %.2f to %.2f", tt.name, got, tt.least, tt.most)
		}
	}
}

func TestArgsOfEncodings(t *testing.T) {
	rung := Rendition{Name: "480p", Height: 480, VideoBitrate: 1_000_000, AudioBitrate: 128_000}
	radio := Rendition{Name: "radio", AudioOnly: true, AudioBitrate: 96_000}
	english := Rendition{Name: "audio-eng", AudioOnly: true, Track: "eng", Copy: true}
	for _, tt := range []struct {
		name     string
		encoding Encoding
		r        Rendition
		want     []string
		without  []string
	}{
		{"a preset", Encoding{Preset: "faster"}, rung, []string{"-preset faster", "-vf scale=-2:480 ", "-c:v libx264"}, nil},
		{"fields", Encoding{Deinterlace: true}, rung, []string{"-vf bwdif=mode=send_frame:deint=interlaced,scale=-2:480 "}, nil},
		{"loudness", Encoding{Loudness: -23}, rung, []string{"-af loudnorm=I=-23:"}, nil},
		{"sound only", Encoding{Loudness: -23}, radio, []string{"-map 0:a:0 ", "loudnorm", "-c:a aac -b:a 96000"}, []string{"-map 0:v", "-c:v"}},
		{"a language", Encoding{}, english, []string{"-map 0:a:m:language:eng -c copy"}, []string{"-map 0:v"}},
		{
			"vaapi",
			Encoding{Hardware: Hardware{Kind: VAAPI}},
			rung,
			[]string{"-init_hw_device vaapi=hw:/dev/dri/renderD128", "scale=-2:480,format=nv12,hwupload", "-c:v h264_vaapi", "-force_key_frames"},
			[]string{"libx264", "-sc_threshold", "yuv420p"},
		},
		{"nvenc", Encoding{Hardware: Hardware{Kind: NVENC}}, rung, []string{"-c:v h264_nvenc", "-forced-idr 1"}, []string{"hwupload"}},
		{"qsv", Encoding{Hardware: Hardware{Kind: QSV, Device: "/dev/dri/renderD129"}}, rung, []string{"vaapi=va:/dev/dri/renderD129", "qsv=hw@va", "-c:v h264_qsv"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			job := Job{Input: FileInput("/state/list"), Renditions: []Rendition{tt.r}, Keyframes: 2 * time.Second, Encoding: tt.encoding}
			line := strings.Join(job.Args(), " ")
			for _, want := range tt.want {
				if !strings.Contains(line, want) {
					t.Errorf("got %s\nwant %q in it", line, want)
				}
			}
			for _, not := range tt.without {
				if strings.Contains(line, not) {
					t.Errorf("got %s\nwant no %q in it", line, not)
				}
			}
		})
	}
}

package players

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/controlapi/token"
	"github.com/headrace/headrace/ingest"
	"github.com/headrace/headrace/test/edge"
)

// publish has FFmpeg push H.264 and AAC until the returned function ends it as a crash
// would.
func publish(t *testing.T, to string) (kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-nostdin", "-v", "error", "-re",
		"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", "25", "-b:v", "300k", "-c:a", "aac", "-b:a", "64k", "-f", "flv", to)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// TestBrowserPlaysWhatIsPushed has hls.js play an encoder's stream, through a crash of
// the encoder that it comes back from (issue 3, Shown by 1).
func TestBrowserPlaysWhatIsPushed(t *testing.T) {
	root, port := pageFolder(t), edge.ReservePort(t)
	node := edge.Start(t, edge.Config{
		Streams: []edge.Stream{edge.Copy("pushed", "push:")},
		Options: []string{fmt.Sprintf("rtmp 127.0.0.1:%d", port)},
		Site:    []string{"root " + root, "file_server"},
	})
	body, err := json.Marshal(map[string]any{"note": "", "streams": []map[string]string{{"id": "pushed", "url": node.URL("pushed")}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "streams.json"), body, 0o644); err != nil {
		t.Fatal(err)
	}
	claims := edge.Claims("pushed")
	claims.Operation = token.Publish
	to := fmt.Sprintf("rtmp://127.0.0.1:%d/live/pushed?token=%s", port, node.Mint(claims))
	kill := publish(t, to)
	node.AwaitState(30*time.Second, "pushed", ingest.StateLive)
	first := node.Stream("pushed").LastMSN
	edge.Await(t, time.Minute, "a window", func() bool { return node.Stream("pushed").LastMSN >= first+8 })

	b := open(t, "http://"+node.Address()+"/", "pushed", 5*time.Minute)
	began, last := time.Now(), node.Stream("pushed").LastMSN
	edge.Await(t, time.Minute, "segments while it plays", func() bool { return node.Stream("pushed").LastMSN > last+4 })
	seams := node.Stream("pushed").DiscontinuitySequence
	kill()
	kill = publish(t, to)
	defer kill()
	edge.Await(t, time.Minute, "segments of the encoder that came back", func() bool {
		st := node.Stream("pushed")
		return st.DiscontinuitySequence == seams+1 && st.LastMSN > last+12
	})
	h := b.close()
	if wall := time.Since(began).Seconds(); h.FatalErrors != 0 || !h.Playing || wall-h.Played > 6 {
		t.Errorf("played %.1f s of %.1f with %d fatal errors, playing %v; want no more lost than the encoder's absence", h.Played, wall, h.FatalErrors, h.Playing)
	}
}

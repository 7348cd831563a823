package ingest

import (
	"testing"

	"github.com/headrace/headrace/ingest/process"
)

func TestRedact(t *testing.T) {
	secrets := []string{"live/hunter2", "hunter2"}
	for _, tt := range []struct{ name, line, want string }{
		{"the source's own", "[error] rtmp://h/live/hunter2: failed", "[error] rtmp://h/[redacted]: failed"},
		{"a query of another host", "[warning] Opening 'https://cdn.example/a.ts?token=s3cret&x=1' for reading", "[warning] Opening 'https://cdn.example/a.ts?[redacted]' for reading"},
		{"a query at the end of a sentence", "http://h/a?k=s3cret: Connection refused", "http://h/a?[redacted] Connection refused"},
		{"a user", "tcp://user:s3cret@h:1/x", "tcp://[redacted]@h:1/x"},
		{"a user with signs", "http://u:s3@cret@h/p@q?z", "http://[redacted]@h/p@q?[redacted]"},
		{"two on a line", "http://h/?s3cret -> http://s3cret@g/?s3cret", "http://h/?[redacted] -> http://[redacted]@g/?[redacted]"},
		{"nothing", "[error] what? nothing@all", "[error] what? nothing@all"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := redact([]process.Line{{Text: tt.line}}, secrets)[0].Text; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

package ffmpeg

import (
	"fmt"
	"strconv"
	"strings"
)

// MinMajor and MinMinor are the oldest FFmpeg that this package is tested with
// (Debian 12 has 5.1).
const (
	MinMajor = 5
	MinMinor = 1
)

// Build is what an installed FFmpeg is and can do.
type Build struct {
	// Version is as FFmpeg prints it, "5.1.9-0+deb12u1".
	Version  string
	Encoders map[string]bool
	Filters  map[string]bool
}

// ParseBuild reads the outputs of "ffmpeg -version", "-encoders" and "-filters".
func ParseBuild(version, encoders, filters string) (Build, error) {
	first, _, _ := strings.Cut(version, "\n")
	fields := strings.Fields(first)
	if len(fields) < 3 || fields[0] != "ffmpeg" || fields[1] != "version" {
		return Build{}, fmt.Errorf("the program does not answer -version like FFmpeg does")
	}
	b := Build{Version: fields[2], Encoders: listed(encoders), Filters: listed(filters)}
	if major, minor, known := release(b.Version); known && (major < MinMajor || (major == MinMajor && minor < MinMinor)) {
		return b, fmt.Errorf("FFmpeg %s is too old; install %d.%d or newer", b.Version, MinMajor, MinMinor)
	}
	return b, nil
}

// release reads major and minor. Builds from a repository ("N-109468-gd39b34123d")
// have neither and are taken as new.
func release(version string) (major, minor int, known bool) {
	digits := strings.TrimPrefix(version, "n")
	majorText, rest, _ := strings.Cut(digits, ".")
	minorText := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	major, err := strconv.Atoi(majorText)
	if err != nil {
		return 0, 0, false
	}
	minor, err = strconv.Atoi(minorText)
	if err != nil {
		minor = 0
	}
	return major, minor, true
}

// listed reads FFmpeg's tables: flags, name, description.
func listed(table string) map[string]bool {
	names := make(map[string]bool)
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) >= 2 && f[1] != "=" {
			names[f[1]] = true
		}
	}
	return names
}

// Check tells by name what the job needs and this FFmpeg lacks.
func (b Build) Check(j Job) error {
	if j.NeedsEncoder() {
		for _, name := range []string{j.Encoding.Hardware.Encoder(), "aac"} {
			if !b.Encoders[name] {
				return fmt.Errorf("FFmpeg %s has no encoder %q; install a build that has it, or use renditions that copy", b.Version, name)
			}
		}
	}
	if j.Input.Generated {
		for _, name := range []string{"smptebars", "scroll", "drawtext", "sine"} {
			if !b.Filters[name] {
				return fmt.Errorf("FFmpeg %s has no filter %q, which the test pattern needs; install a build that has it", b.Version, name)
			}
		}
	}
	return nil
}

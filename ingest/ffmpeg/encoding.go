package ffmpeg

import (
	"fmt"
	"strconv"
	"strings"
)

// Encoding is how the renditions of a job that are not copied are encoded. The
// zero value is a fair choice on a processor.
type Encoding struct {
	// Preset is one of libx264's, "ultrafast" to "medium"; empty: "veryfast". Slower
	// ones look better at the same bit rate. Hardware encoders have none of it.
	Preset string
	// Deinterlace makes whole pictures out of fields where the source has fields.
	Deinterlace bool
	// Loudness in LUFS to which the sound is brought (EBU R 128: -23); 0 leaves it.
	Loudness float64
	// Hardware encodes the pictures in place of the processor.
	Hardware Hardware
}

// Hardware is a video encoder outside the processor; the zero value is none.
type Hardware struct {
	Kind HardwareKind
	// Device is a file in /dev that it is reached by; empty: the kind's usual one.
	Device string
}

// HardwareKind is the interface that an encoder is reached by. The set is closed.
type HardwareKind string

// The kinds.
const (
	VAAPI HardwareKind = "vaapi" // Intel and AMD, Linux
	NVENC HardwareKind = "nvenc" // Nvidia
	QSV   HardwareKind = "qsv"   // Intel Quick Sync Video
)

// HardwareKinds lists them all.
func HardwareKinds() []HardwareKind { return []HardwareKind{VAAPI, NVENC, QSV} }

// renderNode is the first graphics card of most machines.
const renderNode = "/dev/dri/renderD128"

// Encoder is FFmpeg's name of the H.264 encoder.
func (h Hardware) Encoder() string {
	if h.Kind == "" {
		return "libx264"
	}
	return "h264_" + string(h.Kind)
}

// Devices are the files in /dev that a child needs to use it.
func (h Hardware) Devices() []string {
	switch h.Kind {
	case VAAPI, QSV:
		return []string{h.device()}
	case NVENC:
		return []string{"/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"}
	}
	return nil
}

func (h Hardware) device() string {
	if h.Device == "" {
		return renderNode
	}
	return h.Device
}

// open are the options before the input that open the device.
func (h Hardware) open() []string {
	switch h.Kind {
	case VAAPI:
		return []string{"-init_hw_device", "vaapi=hw:" + h.device(), "-filter_hw_device", "hw"}
	case QSV:
		return []string{"-init_hw_device", "vaapi=va:" + h.device(), "-init_hw_device", "qsv=hw@va", "-filter_hw_device", "hw"}
	}
	return nil
}

// upload are the filters that bring pictures to the device.
func (h Hardware) upload() []string {
	switch h.Kind {
	case VAAPI:
		return []string{"format=nv12", "hwupload"}
	case QSV:
		return []string{"format=nv12", "hwupload=extra_hw_frames=64"}
	}
	return nil
}

// tune are the encoder's own options: keyframes where they are asked for, and no
// pictures held back.
func (h Hardware) tune() []string {
	switch h.Kind {
	case VAAPI:
		return []string{"-bf", "0"}
	case NVENC:
		return []string{"-pix_fmt", "yuv420p", "-preset", "p4", "-forced-idr", "1", "-bf", "0"}
	case QSV:
		return []string{"-forced_idr", "1", "-bf", "0"}
	}
	return nil
}

// ProbeArgs make FFmpeg encode one picture on it and write nothing: whether it
// works is known by trying only.
func (h Hardware) ProbeArgs() []string {
	args := append([]string{"-nostdin", "-hide_banner", "-loglevel", "error"}, h.open()...)
	args = append(args, "-f", "lavfi", "-i", "color=size=320x180:rate=25")
	if filters := h.upload(); len(filters) > 0 {
		args = append(args, "-vf", strings.Join(filters, ","))
	}
	args = append(args, "-frames:v", "1", "-c:v", h.Encoder())
	return append(append(args, h.tune()...), "-f", "null", "-")
}

// video are the options that encode the pictures of a rendition.
func (e Encoding) video(r Rendition, keyframes, fallback string) []string {
	var filters []string
	if e.Deinterlace {
		filters = append(filters, "bwdif=mode=send_frame:deint=interlaced")
	}
	if r.Height > 0 {
		filters = append(filters, fmt.Sprintf("scale=-2:%d", r.Height))
	}
	filters = append(filters, e.Hardware.upload()...)
	var args []string
	if len(filters) > 0 {
		args = append(args, "-vf", strings.Join(filters, ","))
	}
	args = append(args, "-c:v", e.Hardware.Encoder())
	if e.Hardware.Kind == "" {
		preset := e.Preset
		if preset == "" {
			preset = fallback
		}
		args = append(args, "-preset", preset, "-pix_fmt", "yuv420p", "-sc_threshold", "0")
	} else {
		args = append(args, e.Hardware.tune()...)
	}
	return append(args, "-b:v", strconv.Itoa(r.VideoBitrate),
		"-maxrate", strconv.Itoa(r.VideoBitrate*11/10), "-bufsize", strconv.Itoa(r.VideoBitrate),
		"-g", "9999", "-force_key_frames", keyframes)
}

// audio are the options that encode the sound of a rendition.
func (e Encoding) audio(bitrate int) []string {
	var args []string
	if e.Loudness != 0 {
		args = append(args, "-af", fmt.Sprintf("loudnorm=I=%g:LRA=11:TP=-1.5", e.Loudness))
	}
	return append(args, "-c:a", "aac", "-b:a", strconv.Itoa(bitrate), "-ac", "2", "-ar", "48000")
}

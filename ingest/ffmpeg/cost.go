package ffmpeg

// What work costs a processor of today, in core seconds per million pixels:
// measured with FFmpeg 5.1 on moving pictures, rounded up.
const (
	decodeCost = 0.004
	scaleCost  = 0.001
	fieldsCost = 0.006 // deinterlacing
	uploadCost = 0.002 // bringing pictures to a device
)

// Core seconds per second of what does not depend on pixels.
const (
	childCost = 0.02 // a process that reads, copies and writes
	audioCost = 0.02 // an AAC encoder with its decoder
	loudCost  = 0.08 // loudness measured and corrected
)

// encodeCost is libx264's, by preset.
var encodeCost = map[string]float64{
	"ultrafast": 0.006, "superfast": 0.012, "veryfast": 0.020, "faster": 0.030, "fast": 0.036, "medium": 0.045,
}

// What is assumed of a source before it was seen, and of a rendition that keeps
// its size.
const (
	assumedHeight = 1080
	assumedRate   = 25
)

// Cores estimates how many processor cores the job keeps busy, so that a node is
// not given more than it can carry. What it really takes shows when it runs.
func (j Job) Cores() float64 {
	cores := childCost
	decodes := false
	for _, r := range j.Renditions {
		if r.Copy && !j.Input.Generated {
			continue
		}
		cores += audioCost
		if j.Encoding.Loudness != 0 {
			cores += loudCost
		}
		if !r.AudioOnly {
			decodes = true
			cores += j.encodeCores(r)
		}
	}
	if decodes && !j.Input.Generated {
		cores += pixels(assumedHeight) * decodeCost
	}
	return cores
}

func (j Job) encodeCores(r Rendition) float64 {
	perPixel := scaleCost
	switch {
	case j.Encoding.Hardware.Kind != "":
		perPixel += uploadCost
	case j.Encoding.Preset != "":
		perPixel += encodeCost[j.Encoding.Preset]
	default:
		perPixel += encodeCost[j.preset()]
	}
	if j.Encoding.Deinterlace {
		perPixel += fieldsCost
	}
	height := r.Height
	if height == 0 {
		height = assumedHeight
	}
	return pixels(height) * perPixel
}

// pixels is how many million pixels a second a 16:9 picture of a height has.
func pixels(height int) float64 {
	return float64(height*height*16/9) * assumedRate / 1e6
}

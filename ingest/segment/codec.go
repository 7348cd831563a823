package segment

// codec is the kind of an elementary stream.
type codec uint8

const (
	codecNone codec = iota
	codecMPEG2
	codecH264
	codecHEVC
	codecMPEGAudio
	codecAAC
	codecLATM
	codecAC3
	codecEAC3
	codecOpus
)

func (c codec) video() bool { return c == codecMPEG2 || c == codecH264 || c == codecHEVC }

// codecOf maps stream_type and descriptors of a PMT entry
// (ISO/IEC 13818-1 table 2-34, ETSI TS 101 154 and EN 300 468 for private data).
func codecOf(streamType byte, descriptors []byte) codec {
	switch streamType {
	case 0x01, 0x02:
		return codecMPEG2
	case 0x1b:
		return codecH264
	case 0x24:
		return codecHEVC
	case 0x03, 0x04:
		return codecMPEGAudio
	case 0x0f:
		return codecAAC
	case 0x11:
		return codecLATM
	case 0x81:
		return codecAC3
	case 0x87:
		return codecEAC3
	case 0x06:
		return codecOfPrivate(descriptors)
	}
	return codecNone
}

// codecOfPrivate finds the codec of a stream of private data by its descriptors.
func codecOfPrivate(d []byte) codec {
	for len(d) >= 2 && 2+int(d[1]) <= len(d) {
		body := d[2 : 2+int(d[1])]
		switch {
		case d[0] == 0x6a:
			return codecAC3
		case d[0] == 0x7a:
			return codecEAC3
		case d[0] == 0x05 && len(body) >= 4:
			switch string(body[:4]) {
			case "Opus":
				return codecOpus
			case "AC-3":
				return codecAC3
			case "EAC3":
				return codecEAC3
			case "HEVC":
				return codecHEVC
			}
		}
		d = d[2+int(d[1]):]
	}
	return codecNone
}

// defaultName is the RFC 6381 name of a codec before its parameters were read.
func (c codec) defaultName() string {
	switch c {
	case codecMPEG2:
		return "mp4v.61"
	case codecH264:
		return "avc1"
	case codecHEVC:
		return "hvc1"
	case codecMPEGAudio:
		return "mp4a.40.33"
	case codecAAC, codecLATM:
		return "mp4a.40.2"
	case codecAC3:
		return "ac-3"
	case codecEAC3:
		return "ec-3"
	case codecOpus:
		return "opus"
	}
	return ""
}

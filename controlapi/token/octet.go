package token

// The alphabets that an octet is in; the low four bits of an octet in
// hexAlphabet are its value.
const (
	hexAlphabet uint8 = 0x10 << iota // 0-9 a-f
	kidAlphabet                      // 0-9 a-z
	idAlphabet                       // 0-9 a-z A-Z - _
)

// alphabets is what each octet is in; nothing writes to it.
var alphabets = func() (table [256]uint8) {
	for i, c := range "0123456789abcdef" {
		table[c] = hexAlphabet | uint8(i)
	}
	for _, c := range "0123456789abcdefghijklmnopqrstuvwxyz" {
		table[c] |= kidAlphabet | idAlphabet
	}
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_" {
		table[c] |= idAlphabet
	}
	return table
}()

func isID(s string) bool { return isText(s, longestID, idAlphabet) }

func isKid(s string) bool { return isText(s, longestKid, kidAlphabet) }

// isText reports whether s has 1 to longest octets, all of that alphabet.
func isText(s string, longest int, alphabet uint8) bool {
	if len(s) < 1 || len(s) > longest {
		return false
	}
	all := alphabet
	for i := range len(s) {
		all &= alphabets[s[i]]
	}
	return all != 0
}

// decodeHex decodes s, two lowercase digits for each octet of dst. Like the
// standard decoder, but upper case is an error: a token has one spelling.
func decodeHex(dst []byte, s string) bool {
	all := hexAlphabet
	for i := range dst {
		if len(s) < 2 {
			return false
		}
		high, low := alphabets[s[0]], alphabets[s[1]]
		s = s[2:]
		all &= high & low
		dst[i] = high<<4 | low&0x0f
	}
	return all != 0 && s == ""
}

// parseNumber reads a decimal number of 1 to digits digits, the first of them
// not zero.
func parseNumber(s string, digits int) (int64, bool) {
	if len(s) < 1 || len(s) > digits || s[0] == '0' {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		digit := s[i] - '0' // wraps around below '0'
		if digit > 9 {
			return 0, false
		}
		n = 10*n + int64(digit)
	}
	return n, true
}

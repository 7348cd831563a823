package hls

// Waiting is how many requests wait for a segment.
func (h *Handler) Waiting() int64 { return h.waiting.Load() }

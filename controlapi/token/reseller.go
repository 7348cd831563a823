package token

// reseller is what an edge allows to one reseller, indexed for Verify.
type reseller struct {
	streams  map[string]operationSet
	bouquets map[string]map[string]struct{}
	denied   map[string]int64 // by user, through that UNIX second
}

func newReseller(g Grant) *reseller {
	r := &reseller{
		streams:  make(map[string]operationSet),
		bouquets: make(map[string]map[string]struct{}, len(g.Bouquets)),
		denied:   make(map[string]int64),
	}
	r.grant(g.Show, Play, CatchUp)
	r.grant(g.Publish, Publish)
	r.grant(g.Relay, Relay)
	for name, streams := range g.Bouquets {
		bouquet := make(map[string]struct{}, len(streams))
		for _, id := range streams {
			bouquet[id] = struct{}{}
		}
		r.bouquets[name] = bouquet
	}
	return r
}

func (r *reseller) grant(streams []string, operations ...Operation) {
	for _, id := range streams {
		for _, o := range operations {
			r.streams[id] = r.streams[id].with(o)
		}
	}
}

// deny keeps the longest of several denials of one user.
func (r *reseller) deny(user string, until int64) {
	r.denied[user] = max(until, r.denied[user])
}

// covers reports whether the token's scope holds the stream. Whether the
// reseller may do anything with it is another question.
func (r *reseller) covers(c *Claims, stream string) bool {
	switch c.Scope {
	case OneStream:
		return c.ID == stream
	case OneBouquet:
		_, ok := r.bouquets[c.ID][stream]
		return ok
	default:
		return c.Scope == AllStreams
	}
}

func (r *reseller) isGranted(stream string, o Operation) bool { return r.streams[stream].has(o) }

func (r *reseller) isDenied(user string, now int64) bool {
	until, ok := r.denied[user]
	return ok && now <= until
}

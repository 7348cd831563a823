package control

// Market is a reseller that sells channels to one viewer account.
type Market struct {
	Reseller, User string
	// PlayKey opens entry URLs for the user.
	PlayKey string
}

// TestStream is what makes a stream of test pictures.
func TestStream(id string) map[string]any {
	return map[string]any{"id": id, "name": id, "sources": []string{"test:"}, "renditions": []map[string]any{
		{"name": "240p", "height": 240, "video_bitrate": 300_000, "audio_bitrate": 64_000},
	}}
}

// Stream makes a stream of test pictures.
func (n *Node) Stream(id string) {
	n.t.Helper()
	n.Must("POST", "/v1/streams", TestStream(id), nil)
}

// Open makes a market for streams that are there.
func (n *Node) Open(streams ...string) Market {
	n.t.Helper()
	m := Market{User: "viewer"}
	n.Must("POST", "/v1/bouquets", map[string]any{"id": "all", "name": "All", "streams": streams}, nil)
	n.Must("POST", "/v1/plans", map[string]any{"id": "plan", "name": "Plan", "price": 10, "duration_seconds": 2_592_000, "bouquets": []string{"all"}}, nil)
	var made struct{ ID, Key string }
	n.Must("POST", "/v1/resellers", map[string]any{"name": "Reseller"}, &made)
	m.Reseller = made.ID
	n.Must("POST", "/v1/resellers/"+m.Reseller+"/credits", map[string]any{"amount": 1000, "reason": "test"}, nil)
	n.Must("PUT", "/v1/resellers/"+m.Reseller+"/grants", map[string]any{
		"show": map[string]any{"bouquets": []string{"all"}, "streams": []string{}}, "publish": map[string]any{"bouquets": []string{}, "streams": streams},
	}, nil)
	n.Must("POST", "/v1/users", map[string]any{"id": m.User, "name": m.User, "plan_id": "plan", "reseller_id": m.Reseller}, nil)
	n.Must("POST", "/v1/users/"+m.User+"/play-keys", map[string]any{"note": "test"}, &made)
	m.PlayKey = made.Key
	return m
}

// Playback is where a viewer is sent.
type Playback struct {
	URL  string `json:"url"`
	Edge string `json:"edge_id"`
}

// Playback asks for a stream on behalf of a market's user.
func (n *Node) Playback(m Market, stream string) (p Playback, err error) {
	err = n.Call("POST", "/v1/playback", map[string]any{"user_id": m.User, "stream_id": stream}, &p)
	return p, err
}

// Edge makes an edge at a base URL and gives the code that it joins with.
func (n *Node) Edge(id, url string) (code string) {
	n.t.Helper()
	var made struct {
		JoinCode string `json:"join_code"`
	}
	n.Must("POST", "/v1/edges", map[string]any{"id": id, "url": url}, &made)
	return made.JoinCode
}

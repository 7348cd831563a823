package nodehealth

// State is what this instance of the control plane holds of an edge. The set is closed;
// the package comment has the table of what leads from one to the other.
type State string

// The states.
const (
	Joining     State = "joining"     // this instance has not heard of it yet
	Healthy     State = "healthy"     // takes viewers and streams
	Degraded    State = "degraded"    // takes viewers only where no healthy edge can; keeps its streams
	Down        State = "down"        // does not answer: its streams move
	Probation   State = "probation"   // answers again, and has to prove it
	Draining    State = "draining"    // takes nobody new; its streams move, one after the other
	Quarantined State = "quarantined" // goes up and down too often
)

// States lists them all, for metric labels.
func States() []State {
	return []State{Joining, Healthy, Degraded, Down, Probation, Draining, Quarantined}
}

// Reason says why an edge is in its state. The set is closed.
type Reason string

// The reasons.
const (
	ReasonNone        Reason = ""
	ReasonUnreachable Reason = "unreachable"   // probes fail
	ReasonUnconfirmed Reason = "unconfirmed"   // probes fail here, and no other instance says so
	ReasonPanic       Reason = "panic"         // probes fail, as they do at most of the group: nobody is moved
	ReasonSelfReport  Reason = "self_report"   // it says so itself
	ReasonScore       Reason = "score"         // its score was low for 3 s
	ReasonSlow        Reason = "slow"          // its answers took long for 3 s
	ReasonStale       Reason = "stale_streams" // a tenth of its streams or more do not move on
	ReasonReturning   Reason = "returning"     // it was down, and answers
	ReasonFlapping    Reason = "flapping"      // it went down three times within five minutes
	ReasonDrain       Reason = "drain"         // the operator wants it so
	ReasonMaintenance Reason = "maintenance"   // so says Consul
)

// Opinion is what Consul holds of an edge, its node's checks among that.
type Opinion string

// The opinions.
const (
	NoOpinion   Opinion = ""            // Consul is not used, cannot be reached, or does not know it
	Passing     Opinion = "passing"     //
	Warning     Opinion = "warning"     //
	Critical    Opinion = "critical"    //
	Maintenance Opinion = "maintenance" // the operator's wish, as good as a drain
)

// Package nodehealth says how every edge is: it asks each of them once a second, and
// makes node states of what they answer, of what Consul says, of what the operator wants
// and of what the other instances of the control plane see.
//
//	from → to              | when
//	-----------------------|---------------------------------------------------------------
//	joining → healthy      | it answers, and its snapshot is current
//	any → down             | two probes in a row fail; three where Consul says that it passes.
//	                       | With three instances or more, another one must say so too
//	healthy → degraded     | it says so itself; its score is below 55 for 3 s; two probes of
//	                       | the last 10 s, the first 3 s ago or more, took longer than 250 ms
//	                       | and than three times its median of 5 min; a tenth of its streams
//	                       | is stale; or it would be down, but for lack of agreement or panic
//	degraded → healthy     | nothing of that for 10 s, and a score of 65 or more
//	down → probation       | three good probes in a row, and its snapshot is current
//	probation → healthy    | 10 s without a failed probe (degraded, if that is what it is);
//	                       | its weight then rises from a tenth to one in 30 s
//	any → quarantined      | in place of the third down within 5 min, if another edge of the
//	                       | group can stand in: for 30 s, doubled each time up to 10 min;
//	                       | then, with three good probes and a current snapshot, probation
//	any → draining         | the operator or Consul's maintenance wants it; one that is down
//	                       | or quarantined drains when it answers again
//	draining → probation   | the operator wants it no more
//
// Panic: where three or more, and more than half, of the edges of a group that answered
// 10 s ago fail, it is more likely us who are cut off. While that is so, and 14 s longer,
// none of them goes down: they are degraded, so that viewers go where there is an answer
// and no stream moves. An operator who knows better drains or revokes them.
//
// A score below 25 bars an edge from anything new until it is 35 again. The score and the
// rules are those of Headrace's design; the models are Envoy's panic threshold and outlier
// detection, and the quorum of Apache Traffic Control.
package nodehealth

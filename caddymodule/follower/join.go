package follower

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/headrace/headrace/controlapi/snapshot"
)

// ErrJoinCode says that the control plane does not take the code.
var ErrJoinCode = errors.New("the control plane does not take this code: it was used, has expired, or is another control plane's; make a new one for the edge there")

// Join exchanges a join code for the edge's credential. The control plane must prove to
// be the one that the code names before it hears the secret.
func Join(ctx context.Context, base string, code snapshot.JoinCode) (snapshot.Joined, error) {
	c, err := newClient(Control{URL: base, Fingerprint: code.Fingerprint})
	if err != nil {
		return snapshot.Joined{}, err
	}
	defer c.close()
	ctx, cancel := context.WithTimeoutCause(ctx, shortExchange, errors.New("no answer came in time"))
	defer cancel()
	response, err := c.post(ctx, "/edge/v1/join", "", snapshot.Join{Code: code.Secret})
	if refused := (*statusError)(nil); errors.As(err, &refused) && (refused.isFinal() || refused.status == http.StatusUnauthorized) {
		return snapshot.Joined{}, fmt.Errorf("%w (%s)", ErrJoinCode, refused.detail)
	}
	if err != nil {
		return snapshot.Joined{}, err
	}
	defer func() { _ = response.Body.Close() }()
	var joined snapshot.Joined
	if err := json.NewDecoder(io.LimitReader(response.Body, maxProblem)).Decode(&joined); err != nil || joined.EdgeID == "" || !isCredential(joined.Credential) {
		return snapshot.Joined{}, errors.New("the answer is not a control plane's; is the address right?")
	}
	return joined, nil
}

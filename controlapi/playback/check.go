package playback

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"time"

	"github.com/headrace/headrace/controlapi"
	"github.com/headrace/headrace/controlapi/token"
)

// sessionLength is how many characters of a session's random id are used: 80 bits.
const sessionLength = 16

// check tells what keeps a user from watching.
func check(g *controlapi.PlaybackGrant, now time.Time) error {
	switch {
	case g.Suspended:
		return controlapi.Errorf(controlapi.CodeForbidden, "The account is suspended")
	case g.Halted:
		return controlapi.Errorf(controlapi.CodeForbidden, "The provider of this account is suspended")
	case g.ExpiresAt.Unix() < now.Unix():
		return controlapi.Errorf(controlapi.CodeForbidden, "The subscription has ended")
	case !g.Entitled:
		return controlapi.Errorf(controlapi.CodeForbidden, "The subscription does not include this channel")
	case g.Key.KeyID == "":
		return noKey(g.ResellerID, g.GroupID)
	}
	return nil
}

// noKey is the fault of the operator or the reseller, not of the viewer.
func noKey(reseller, group string) error {
	return controlapi.Errorf(controlapi.CodeConflict, "reseller %q has no signing key in edge group %q; make one first", reseller, group)
}

// claimsOf is what the token says.
func claimsOf(g *controlapi.PlaybackGrant, network netip.Prefix, expires time.Time) token.Claims {
	claims := token.Claims{
		Kid: g.Key.KeyID, Reseller: g.ResellerID, User: g.UserID, ID: g.StreamID,
		Max: g.MaxConnections, Network: network, Expires: expires.Unix(), Session: rand.Text()[:sessionLength],
	}
	if g.StreamID == "" {
		claims.Scope, claims.ID = token.OneBouquet, g.BouquetID
	}
	return claims
}

// network gives the network that a token is bound to; the zero one: it is not.
func network(client netip.Addr, octets int) (netip.Prefix, error) {
	if octets == 0 {
		return netip.Prefix{}, nil
	}
	if !client.IsValid() {
		return netip.Prefix{}, controlapi.Invalid("client", "the token can be bound to the client's network only if its address is given")
	}
	client = client.Unmap().WithZone("")
	p, err := client.Prefix(8 * octets)
	if err != nil || octets < 0 {
		return netip.Prefix{}, controlapi.Invalid("bind_octets", fmt.Sprintf("%v has %d octets", client, client.BitLen()/8))
	}
	return p, nil
}

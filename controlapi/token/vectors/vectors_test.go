package vectors_test

import (
	"strings"
	"testing"

	"github.com/headrace/headrace/controlapi/token/vectors"
)

// shortToken is the published vectors' short/one-stream.
const shortToken = "501:1893459600:bce43512018950f48ecb510b6ac21013976f75b9d209f86363a3ecb12b83a212"

// one makes a file with one case: the short token, with the text in place of
// what stands after its name.
func one(list, rest string) string {
	return `{"` + list + `": [{"name": "mine", "token": "` + shortToken + `", "request": {"stream": "501"}` + rest + `}]}`
}

func TestCheckVerdict(t *testing.T) {
	for _, c := range []struct{ name, file, got, want string }{
		{"what is left out is as published", one("valid", ""), "accepted", "accepted"},
		{"secret", one("valid", `, "secret": "eu.42.2"`), "accepted", "accepted"},
		{
			"secret of one's own",
			`{"secrets": {"mine": "my-own-secret-of-32-characters-0"},
			  "keys": [{"group": "eu", "reseller": "42", "kid": "2", "not_after": 0, "secret": "mine"}],
			  "valid": [{"name": "mine", "secret": "mine", "request": {"stream": "501"},
			    "token": "501:1893459600:9beb860791de866fd11e872899c17b08d4f4bfba15309c01bae363a2b9172bd4"}]}`,
			"accepted", "accepted",
		},
		{"any refusal", one("invalid", ""), "accepted", "refused"},
		{"another refusal", one("invalid", `, "expect": {"ok": false, "reason": "expired"}`), "accepted", "expired"},
		{"edge of the case", one("invalid", `, "edge": {"default_key": null}, "expect": {"ok": false, "reason": "unknown_key"}`), "unknown_key", "unknown_key"},
		{"other group's keys", one("invalid", `, "edge": {"group": "us"}, "expect": {"ok": false, "reason": "bad_signature"}`), "bad_signature", "bad_signature"},
		{"reference", one("valid", `, "secret": "eu.42.2", "reference": false`), "reference true", "reference false"},
		{"reference without a secret", one("valid", `, "secret": null, "reference": true`), "reference false", "reference true"},
		{"wrong secret named", one("valid", `, "secret": "eu.42.1"`), "reference false", "reference true"},
		{
			"claims", one("valid", `, "expect": {"ok": true, "claims": {"form": "short", "kid": "2", "reseller": "42", "scope": "stream",
			"id": "501", "op": "p", "exp": 1893459601}}`),
			`exp "1893459600"`, `exp "1893459601"`,
		},
		{"token of octets", `{"invalid": [{"name": "mine", "token": "\u00ff\u0000", "expect": {"reason": "malformed"}}]}`, "malformed", "malformed"},
		{
			"sessions", `{"invalid": [{"name": "mine",
			"token": "1.k2.r42.u1007.s501.m2.n4cb0071.oc.t1893448800.j7f3a9c21:1893459600:37004ab64aeb8cc4fe3e84dfe1d5b6fa2cd2bfdcc8cf941c3c98fabae5a4e02f",
			"request": {"stream": "501", "op": "c", "kind": "segment", "client_ip": "203.0.113.7", "sessions": 2}}]}`,
			"too_many_connections", "too_many_connections",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := vectors.Read(strings.NewReader(c.file))
			if err != nil {
				t.Fatal(err)
			}
			results, err := d.Check()
			if err != nil {
				t.Fatal(err)
			}
			want := vectors.Result{Case: "mine", Got: c.got, Want: c.want}
			if len(results) != 1 || results[0] != want {
				t.Errorf("got %+v, want %+v", results, want)
			}
			if got, want := results[0].Agrees(), c.got == c.want; got != want {
				t.Errorf("agrees: got %v, want %v", got, want)
			}
		})
	}
}

func TestReadAndCheckRefuse(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"nothing", "", "EOF"},
		{"not JSON", "token: 501", "line 1: invalid character"},
		{"missing comma", "{\n\"now\": 1\n\"valid\": []}", "line 3: invalid character"},
		{"wrong type", "{\n\"now\": \"1\"}", "line 2: "},
		{"no cases", "{}", "no cases"},
		{"two documents", one("valid", "") + "{}", "more follows"},
		{"unknown member", `{"vaild": []}`, `"vaild"`},
		{"unknown member of a case", one("valid", `, "sercet": "eu.42.2"`), `"sercet"`},
		{"unknown member of the edge", one("valid", `, "edge": {"grace": 60}`), `"grace"`},
		{"accepted under invalid", one("invalid", `, "expect": {"ok": true}`), `case "mine"`},
		{"refused under valid", one("valid", `, "expect": {"ok": false}`), `case "mine"`},
		{"unknown reason", one("invalid", `, "expect": {"reason": "wrong"}`), "malformed unknown_key"},
		{"acceptance as a reason", one("invalid", `, "expect": {"reason": "accepted"}`), "must be one of"},
		{"reason of acceptance", one("valid", `, "expect": {"ok": true, "reason": "expired"}`), "expect.reason"},
		{"claims of a refusal", one("invalid", `, "expect": {"claims": {}}`), "expect.claims"},
		{"character beyond an octet", `{"invalid": [{"name": "mine", "token": "\u0100"}]}`, "U+0100"},
		{"unknown operation", `{"invalid": [{"name": "mine", "request": {"op": "x"}}]}`, "request.op"},
		{"unknown kind", `{"invalid": [{"name": "mine", "request": {"kind": "part"}}]}`, "request.kind"},
		{"bad address", `{"invalid": [{"name": "mine", "request": {"client_ip": "1.2.3"}}]}`, "request.client_ip"},
		{"secret that is not there", one("valid", `, "secret": "eu.42.9"`), `"eu.42.9"`},
		{
			"key's secret that is not there", `{"keys": [{"group": "eu", "reseller": "1", "kid": "1", "secret": "x"}], "invalid": [{"name": "mine"}]}`,
			"key 1/1",
		},
		{"secret that is too short", `{"secrets": {"eu.42.2": "short-secret"}, "invalid": [{"name": "mine"}]}`, "key 42/2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := vectors.Read(strings.NewReader(c.file))
			if err == nil {
				_, err = d.Check()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "short-secret") {
				t.Errorf("%v holds a secret", err)
			}
		})
	}
}

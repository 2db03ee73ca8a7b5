package session

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const hubPatience = 8 * time.Second

// identity is what JupyterHub's GET /hub/api/user says of a token's owner.
type identity struct {
	Kind    string   `json:"kind"` // "user"
	Name    string   `json:"name"`
	Session string   `json:"session_id"` // of the hub's login that the token came from
	Scopes  []string `json:"scopes"`
}

// exchange turns a code into a token of the person who logged in.
func (s *Sessions) exchange(ctx context.Context, code, verifier string) (string, error) {
	form := url.Values{
		"client_id": {s.config.Client}, "client_secret": {s.config.Secret}, "grant_type": {"authorization_code"},
		"code": {code}, "redirect_uri": {s.config.Callback}, "code_verifier": {verifier},
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	err := s.ask(ctx, http.MethodPost, "/hub/api/oauth2/token", "", strings.NewReader(form.Encode()), &answer)
	if err == nil && answer.Token == "" {
		err = ErrRefused
	}
	return answer.Token, err
}

// whose asks the hub who a token belongs to, and whether they may use our pages.
func (s *Sessions) whose(ctx context.Context, token string) (identity, error) {
	var who identity
	if err := s.ask(ctx, http.MethodGet, "/hub/api/user", token, nil, &who); err != nil {
		return who, err
	}
	may := slices.ContainsFunc(who.Scopes, func(scope string) bool {
		return scope == "access:services" || scope == "access:services!service="+Service
	})
	if who.Kind != "user" || who.Name == "" || !may {
		return who, ErrRefused
	}
	return who, nil
}

// ask sends one question to the hub. ErrRefused is its no; whatever else goes wrong is
// ErrHubAway: it is being restarted, and says nothing about anybody.
func (s *Sessions) ask(ctx context.Context, method, path, token string, body io.Reader, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, hubPatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, body)
	if err != nil {
		return fmt.Errorf("cannot ask the hub: %w", err)
	}
	r.Header.Set("Accept", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "token "+token)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := s.config.Hub.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHubAway, err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500 || res.StatusCode/100 == 3:
		return fmt.Errorf("%w: %s", ErrHubAway, res.Status)
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: %s", ErrRefused, res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(answer); err != nil {
		return fmt.Errorf("%w: %w", ErrHubAway, err)
	}
	return nil
}

package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/progress"
)

// Status is the class now.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	var s api.Status
	err := c.do(ctx, http.MethodGet, api.PathStatus, nil, &s)
	return s, err
}

// Apply asks for the folder dir, an absolute path, to become the class. Problems
// of the folder come back as the error, a [notice.List].
func (c *Client) Apply(ctx context.Context, dir string) (api.Applied, error) {
	var a api.Applied
	err := c.do(ctx, http.MethodPost, api.PathApply, api.Apply{Dir: dir}, &a)
	return a, err
}

// Applied waits until the setup id serves or has failed.
func (c *Client) Applied(ctx context.Context, id string) (api.Result, error) {
	var r api.Result
	err := c.do(ctx, http.MethodGet, api.AppliedPath(id), nil, &r)
	return r, err
}

// Build asks for the desired setup to be built again.
func (c *Client) Build(ctx context.Context, b api.Build) (api.Applied, error) {
	var a api.Applied
	err := c.do(ctx, http.MethodPost, api.PathBuild, b, &a)
	return a, err
}

// Users are the accounts of the roster.
func (c *Client) Users(ctx context.Context) ([]api.User, error) {
	var u api.Users
	err := c.do(ctx, http.MethodGet, api.PathUsers, nil, &u)
	return u.Users, err
}

// SetPassword sets the password of an account and returns it. With password ""
// the daemon makes one up.
func (c *Client) SetPassword(ctx context.Context, name, password string) (string, error) {
	var p api.Password
	err := c.do(ctx, http.MethodPost, api.PasswordPath(name), api.Password{Password: password}, &p)
	return p.Password, err
}

// Environments are all environments of the class.
func (c *Client) Environments(ctx context.Context) ([]api.Environment, error) {
	var e api.Environments
	err := c.do(ctx, http.MethodGet, api.PathEnvironments, nil, &e)
	return e.Environments, err
}

// EnvVerb does something with environments. It returns when that is done; when ctx ends
// first the daemon gives it up.
func (c *Client) EnvVerb(ctx context.Context, v api.EnvVerb, q api.EnvRequest) (api.EnvReply, error) {
	var r api.EnvReply
	err := c.do(ctx, http.MethodPost, api.EnvPath(v), q, &r)
	return r, err
}

// Lesson is how far the servers of the class are.
func (c *Client) Lesson(ctx context.Context) (api.Lesson, error) {
	var l api.Lesson
	err := c.do(ctx, http.MethodGet, api.PathClass, nil, &l)
	return l, err
}

// BeginClass has servers started for the named accounts, or for everybody when there
// are none named. It returns when that has begun.
func (c *Client) BeginClass(ctx context.Context, users ...string) (api.Lesson, error) {
	var l api.Lesson
	err := c.do(ctx, http.MethodPost, api.PathClass, api.BeginClass{Users: users}, &l)
	return l, err
}

// EndClass ends the lesson; with all it stops every student's server.
func (c *Client) EndClass(ctx context.Context, all bool) (api.Lesson, error) {
	var l api.Lesson
	err := c.do(ctx, http.MethodPost, api.PathClassEnd, api.EndClass{StopAll: all}, &l)
	return l, err
}

// Stop asks the daemon to stop. It returns when the daemon has begun to.
func (c *Client) Stop(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, api.PathStop, nil, nil)
}

// Events yields the remembered events of work under way, then news as they come,
// until ctx ends or the daemon goes (which yields an error last).
func (c *Client) Events(ctx context.Context) iter.Seq2[progress.Event, error] {
	return func(yield func(progress.Event, error) bool) {
		res, err := c.send(ctx, http.MethodGet, api.PathEvents, nil)
		if err != nil {
			yield(progress.Event{}, err)
			return
		}
		defer res.Body.Close()
		dec := json.NewDecoder(res.Body)
		for {
			var e progress.Event
			if err := dec.Decode(&e); err != nil {
				if ctx.Err() != nil {
					err = ctx.Err()
				}
				yield(progress.Event{}, fmt.Errorf("cannot follow the daemon's events: %w", err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

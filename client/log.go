package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"

	"github.com/conjuring/conjured/api"
)

// AccountLog yields what happened to accounts, the oldest first, until ctx ends or,
// without Follow, there is no more. An error comes last.
func (c *Client) AccountLog(ctx context.Context, q api.LogQuery) iter.Seq2[api.LogEntry, error] {
	return func(yield func(api.LogEntry, error) bool) {
		res, err := c.send(ctx, http.MethodGet, api.PathUsersLog+"?"+q.Values().Encode(), nil)
		if err != nil {
			yield(api.LogEntry{}, err)
			return
		}
		defer res.Body.Close()
		dec := json.NewDecoder(res.Body)
		for {
			var e api.LogEntry
			err := dec.Decode(&e)
			switch {
			case errors.Is(err, io.EOF) && !q.Follow:
				return
			case ctx.Err() != nil:
				yield(api.LogEntry{}, ctx.Err())
				return
			case err != nil:
				yield(api.LogEntry{}, fmt.Errorf("cannot follow the log of accounts: %w", err))
				return
			case !yield(e, nil):
				return
			}
		}
	}
}

package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/conjuring/conjured/engine"
)

// SetServices makes the override's other containers run on the class's network, and
// stops those that are no longer wanted. Name is the service's name, and becomes its
// name on that network. One that did not change is left alone.
func (h *Hub) SetServices(ctx context.Context, services []engine.Spec) error {
	cs, err := h.cfg.Engine.List(ctx, h.label(roleService))
	if err != nil {
		return fmt.Errorf("cannot list the services: %w", err)
	}
	have := map[string]engine.Container{}
	for _, c := range cs {
		have[c.Labels[engine.LabelKey]] = c
	}
	var todo []engine.Spec
	for _, s := range services {
		spec, key, err := h.serviceSpec(s)
		if err != nil {
			return err
		}
		if c, ok := have[key]; ok && c.State == "running" {
			delete(have, key)
			continue
		}
		todo = append(todo, spec)
	}
	for _, c := range have { // first, since a changed one keeps its name
		if err := firstError(h.cfg.Engine.Stop(ctx, c.ID, stopGrace), h.cfg.Engine.Remove(ctx, c.ID)); err != nil {
			return fmt.Errorf("cannot stop service %s: %w", c.Name, err)
		}
	}
	for _, s := range todo {
		id, err := h.cfg.Engine.Create(ctx, s)
		if err == nil {
			err = h.cfg.Engine.Start(ctx, id)
		}
		if err != nil {
			return fmt.Errorf("cannot start service %s: %w", s.NetworkAliases[0], err)
		}
	}
	return nil
}

func (h *Hub) serviceSpec(s engine.Spec) (engine.Spec, string, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return s, "", fmt.Errorf("cannot name service %s: %w", s.Name, err)
	}
	sum := sha256.Sum256(b)
	key := hex.EncodeToString(sum[:16])
	s.NetworkAliases = append([]string{s.Name}, s.NetworkAliases...)
	s.Name = fmt.Sprintf("conjured-%s-service-%s", h.cfg.Instance, s.Name)
	s.Network = h.cfg.Network
	s.Labels = maps.Clone(s.Labels)
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	s.Labels[engine.LabelRole], s.Labels[engine.LabelKey] = roleService, key
	s.Restart = or(s.Restart, "unless-stopped")
	if !slices.Contains(s.SecurityOpt, "no-new-privileges") {
		s.SecurityOpt = append(slices.Clone(s.SecurityOpt), "no-new-privileges")
	}
	return s, key, nil
}

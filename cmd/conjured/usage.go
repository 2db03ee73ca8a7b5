package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/hub"
)

// serversWithUsage joins the servers with what each uses, the one with most memory
// first.
func (b *box) serversWithUsage(ctx context.Context, servers []hub.Server) ([]api.Server, error) {
	used, err := b.hub.Usage(ctx)
	if err != nil {
		return nil, err
	}
	byID := map[string]hub.Usage{}
	for _, u := range used {
		byID[u.ID] = u
	}
	out := []api.Server{}
	for _, v := range servers {
		s := api.Server{User: v.User, Name: v.Name, State: v.State, Since: v.Since}
		if u, ok := byID[v.ID]; ok {
			s.MemoryBytes = u.Memory
			s.Usage = &api.Usage{
				MemoryBytes: u.Memory, MemoryLimit: u.MemoryLimit, CPU: u.CPU, CPULimit: u.CPULimit,
				Processes: u.Pids, ProcessMax: u.PidsLimit, TmpBytes: u.Tmp, TmpLimit: u.TmpLimit,
				DiskBytes: u.Disk, DiskLimit: u.DiskLimit,
			}
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b api.Server) int { return cmp.Compare(b.MemoryBytes, a.MemoryBytes) })
	return out, nil
}

// printServers is the table of who uses what.
func printServers(out io.Writer, servers []api.Server) {
	if len(servers) == 0 {
		return
	}
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(w, "\nserver\tstate\tmemory\tcores\tprocesses\t/tmp\thome")
	for _, s := range servers {
		name := s.User
		if s.Name != "" {
			name += "/" + s.Name
		}
		fmt.Fprintf(w, "%s\t%s%s\t%s\n", name, s.State, sinceWords(s.Since), strings.Join(usageWords(s.Usage), "\t"))
	}
	w.Flush()
}

// usageWords are the table's last five columns, each "used of limit".
func usageWords(u *api.Usage) []string {
	if u == nil {
		return []string{"-", "-", "-", "-", "-"}
	}
	cores := fmt.Sprintf("%.1f", u.CPU)
	if u.CPULimit > 0 {
		cores += fmt.Sprintf(" of %.1f", u.CPULimit)
	}
	processes := fmt.Sprint(u.Processes)
	if u.ProcessMax > 0 {
		processes += fmt.Sprintf(" of %d", u.ProcessMax)
	}
	return []string{
		megabytes(u.MemoryBytes, u.MemoryLimit), cores, processes,
		megabytes(u.TmpBytes, u.TmpLimit), megabytes(u.DiskBytes, u.DiskLimit),
	}
}

func megabytes(n, limit int64) string {
	if limit == 0 {
		return fmt.Sprintf("%d MB", n>>20)
	}
	return fmt.Sprintf("%d of %d MB", n>>20, limit>>20)
}

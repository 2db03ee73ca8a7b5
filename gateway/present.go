package gateway

// Open tells how many connections of browsers are in the middle of something with a
// user's servers: a page that is open has at least one, its websocket.
func (s *Server) Open(user string) int {
	f := &s.door.proxy.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.byUser[user])
}

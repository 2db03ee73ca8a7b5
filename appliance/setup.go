package appliance

import "fmt"

// Setup is everything a class runs, by content: each field but ID is the hex
// fingerprint of one part of the teacher's folder. Setups are compared by ID.
// The zero Setup is none.
type Setup struct {
	ID          string `json:"id"`          // of all parts; names the directory setups/<ID>
	Roster      string `json:"roster"`      // users.csv
	Content     string `json:"content"`     // home_default and shared
	Image       string `json:"image"`       // what the system image is built from
	Environment string `json:"environment"` // what the base environment is built from
	Code        string `json:"code"`        // srv, the override, .env; "" when there is none
	Kernels     string `json:"kernels"`     // all other environments; "" leaves those that are there alone
}

// EnvironmentKey names the environment as it is built in this setup's image: the same
// requirements in another image are another environment.
func (s Setup) EnvironmentKey() string { return s.Image + "+" + s.Environment }

// KernelsKey names the other environments as they are built in this setup's image.
func (s Setup) KernelsKey() string { return s.Image + "+" + s.Kernels }

// SealKey names what the image latest holds when it was completed for this setup.
func (s Setup) SealKey() string { return s.EnvironmentKey() + "+" + s.Kernels }

// check tells what a wish lacks.
func (s Setup) check() error {
	for name, v := range map[string]string{
		"id": s.ID, "roster": s.Roster, "content": s.Content,
		"image": s.Image, "environment": s.Environment,
	} {
		if v == "" {
			return fmt.Errorf("cannot wish for a setup without %s", name)
		}
	}
	return nil
}

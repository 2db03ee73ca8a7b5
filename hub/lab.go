package hub

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/conjuring/conjured/engine"
)

// labScript is the extension of Lab that shows notices.
//
//go:embed lab/class.js
var labScript []byte

// LabExtension is the name of our extension of Lab: where it lies below
// lab/extensions/ of each student's server.
const LabExtension = "@conjured/class"

// labPath is where a student's server looks for the machine's extensions, whatever
// environment it runs in.
const labPath = "/usr/local/share/jupyter/labextensions/" + LabExtension

// labManifest is the package.json by which Jupyter finds the extension. The name of
// the script holds a hash of it, so that browsers may keep it for ever.
func labManifest(script string) ([]byte, error) {
	return json.MarshalIndent(map[string]any{
		"name": LabExtension, "version": "1.0.0", "description": "What the class has to tell you.",
		"jupyterlab": map[string]any{
			"extension": true,
			"_build":    map[string]string{"load": "static/" + script, "extension": "./extension"},
		},
	}, "", "\t")
}

// LabDir is the directory of our extension of Lab, complete. The files that any
// student's server shows to everybody lie in it.
func (h *Hub) LabDir() (string, error) {
	sum := sha256.Sum256(labScript)
	hash := hex.EncodeToString(sum[:])[:20]
	script := "remoteEntry." + hash + ".js"
	manifest, err := labManifest(script)
	if err != nil {
		return "", fmt.Errorf("cannot write Lab's extension: %w", err)
	}
	return publish(h.paths.lab, hash, func(tmp string) error {
		return errors.Join(
			os.Mkdir(filepath.Join(tmp, "static"), 0o755),
			os.WriteFile(filepath.Join(tmp, "static", script), labScript, 0o644),
			os.WriteFile(filepath.Join(tmp, "package.json"), manifest, 0o644),
		)
	})
}

// withOurLab adds the extension to a student's container.
func (h *Hub) withOurLab(s engine.Spec) (engine.Spec, error) {
	dir, err := h.LabDir()
	if err != nil {
		return s, err
	}
	s.Mounts = append(s.Mounts, engine.Mount{Source: dir, Target: labPath, ReadOnly: true, NoCreate: true})
	return s, nil
}

package custom

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v4"
)

var yamlLine = regexp.MustCompile(`line (\d+)`)

// yaml parses one YAML file into nodes and refuses whatever makes a small file
// big or two-faced: anchors, aliases, several documents, keys given twice, deep
// nesting, more than most values. It gives the mapping at the root, or nil when a notice says why not;
// an empty file is an empty mapping.
func (r *reader) yaml(file string, data []byte, most int) *yaml.Node {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return &yaml.Node{Kind: yaml.MappingNode, Line: 1}
	case err != nil:
		r.yamlSyntax(file, err)
		return nil
	}
	switch err := dec.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.yamlSyntax(file, err)
		return nil
	default:
		r.error("yaml-documents", file, second.Line, fmt.Sprintf("%s holds more than one document", printable(file)), "remove the line --- and what follows, or make two files")
		return nil
	}
	if len(doc.Content) != 1 {
		return &yaml.Node{Kind: yaml.MappingNode, Line: 1}
	}
	root := doc.Content[0]
	c := yamlCheck{reader: r, file: file, most: most}
	c.node(root, 0)
	switch {
	case c.bad:
		return nil
	case root.Kind == yaml.ScalarNode && root.Tag == "!!null":
		return &yaml.Node{Kind: yaml.MappingNode, Line: 1}
	case root.Kind != yaml.MappingNode:
		r.error("yaml-shape", file, root.Line, fmt.Sprintf("%s line %d: the file should be a list of lines such as name: value", printable(file), root.Line), "compare it with the sample class (conjured init)")
		return nil
	}
	return root
}

func (r *reader) yamlSyntax(file string, err error) {
	line := 0
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ = strconv.Atoi(m[1])
	}
	where := printable(file)
	if line > 0 {
		where += fmt.Sprintf(" line %d", line)
	}
	r.error("yaml-syntax", file, line, where+" cannot be read as YAML", "check indentation (spaces, no tabs), colons and quotes on this line and the one above it")
}

type yamlCheck struct {
	*reader

	file  string
	most  int // values that the file may have
	count int
	bad   bool
}

func (c *yamlCheck) refuse(code string, line int, what, do string) {
	c.bad = true
	c.error(code, c.file, line, fmt.Sprintf("%s line %d %s", printable(c.file), line, what), do)
}

func (c *yamlCheck) node(n *yaml.Node, depth int) {
	if c.count++; c.count > c.most || depth > MaxYAMLDepth {
		if c.count <= c.most+1 {
			c.refuse("yaml-too-large", n.Line, fmt.Sprintf("goes beyond %d values or %d levels", c.most, MaxYAMLDepth), "make the file simpler")
			c.count = c.most + 1
		}
		return
	}
	if n.Anchor != "" || n.Kind == yaml.AliasNode {
		c.refuse("yaml-anchor", n.Line, "uses an anchor or an alias (& or *)", "write the value out where it is needed")
		return
	}
	if n.Kind == yaml.MappingNode {
		c.keys(n)
	}
	for _, child := range n.Content {
		c.node(child, depth+1)
	}
}

func (c *yamlCheck) keys(n *yaml.Node) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		switch {
		case k.Kind == yaml.AliasNode || k.Anchor != "":
			continue // told by node
		case k.Kind != yaml.ScalarNode:
			c.refuse("yaml-shape", k.Line, "has a list or a block where a word should be", "write it as name: value")
			continue
		case k.Value == "<<":
			c.refuse("yaml-anchor", k.Line, "merges another block (<<)", "write the values out where they are needed")
			continue
		}
		if first, ok := seen[k.Value]; ok {
			c.refuse("yaml-duplicate", k.Line, fmt.Sprintf("gives %q again, after line %d", short(k.Value), first), "keep one of the two")
			continue
		}
		seen[k.Value] = k.Line
	}
}

// pairs goes through the keys and values of a mapping.
func pairs(n *yaml.Node) func(yield func(k, v *yaml.Node) bool) {
	return func(yield func(k, v *yaml.Node) bool) {
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// value is what a mapping holds at key, or nil.
func value(n *yaml.Node, key string) *yaml.Node {
	for k, v := range pairs(n) {
		if k.Value == key {
			return v
		}
	}
	return nil
}

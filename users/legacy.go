package users

import "strings"

// reading is what a line of users.csv means to a program.
type reading struct {
	name, password string
	admin          bool
}

// legacyReading is what the old start script (awk by comma, then the shell's
// `read name password admin` without -r) made of a line: U2, U3 and U5 of the
// feature table. The line still has its carriage return, if it had one.
func legacyReading(line string) reading {
	cells := strings.SplitN(line, ",", 4)
	for len(cells) < 3 {
		cells = append(cells, "")
	}
	w := shellRead(strings.Join(cells[:3], " "))
	return reading{w[0], w[1], isAdmin(w[2])}
}

// shellRead splits as the shell does: at blanks and tabs, a backslash makes the
// next character ordinary and vanishes, the third word keeps the rest.
func shellRead(s string) [3]string {
	var words [3]strings.Builder
	n, inside, kept := 0, false, 0 // kept: length of the last word without trailing blanks
	for i := 0; i < len(s); i++ {
		c, plain := s[i], false
		if c == '\\' {
			if i++; i == len(s) {
				break
			}
			c, plain = s[i], true
		}
		blank := !plain && (c == ' ' || c == '\t')
		switch {
		case blank && !inside:
			continue
		case blank && n < 2:
			n, inside = n+1, false
			continue
		}
		inside = true
		words[n].WriteByte(c)
		if !blank {
			kept = words[n].Len()
		}
	}
	last := words[2].String()
	if n == 2 && len(last) > kept {
		last = last[:kept]
	}
	return [3]string{words[0].String(), words[1].String(), last}
}

// isAdmin knows exactly the words the old script took for yes (U4).
func isAdmin(s string) bool {
	switch s {
	case "1", "y", "Y", "t", "T":
		return true
	}
	return strings.EqualFold(s, "yes") || strings.EqualFold(s, "true")
}

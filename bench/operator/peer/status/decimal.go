package status

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Decimal is a number with six significant digits, as text; empty for one that is not finite.
func Decimal(number float64) string {
	if math.IsNaN(number) || math.IsInf(number, 0) {
		return ""
	}
	if number == 0 {
		return "0"
	}
	magnitude := int(math.Floor(math.Log10(math.Abs(number))))
	if magnitude < -5 || magnitude > 14 {
		return strconv.FormatFloat(number, 'e', 5, 64)
	}
	text := strconv.FormatFloat(number, 'f', max(0, 5-magnitude), 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

func optional(number *float64) string {
	if number == nil {
		return ""
	}
	return Decimal(*number)
}

// Duration is for people, in its two largest units.
func Duration(seconds int64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm%ds", seconds/60, seconds%60)
	case seconds < 86_400:
		return fmt.Sprintf("%dh%dm", seconds/3600, seconds/60%60)
	default:
		return fmt.Sprintf("%dd%dh", seconds/86_400, seconds/3600%24)
	}
}

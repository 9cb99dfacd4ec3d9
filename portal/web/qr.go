package web

import (
	"fmt"
	"strings"

	"github.com/boombuler/barcode/qr"

	"github.com/domicile-sso/domicile/portal"
)

// A qrCode is drawn by the page itself, as a path: an image would have to be
// fetched from an address of its own, and the policy of our pages allows no data:
// addresses.
type qrCode struct {
	Size int    // of one side, in modules, with the quiet zone around
	Path string // of the dark modules
}

// quietZone is the margin that readers need (ISO/IEC 18004, 4 modules).
const quietZone = 4

func newQRCode(text portal.Secret) (qrCode, error) {
	code, err := qr.Encode(text.Clear(), qr.M, qr.Auto)
	if err != nil {
		return qrCode{}, fmt.Errorf("draw QR code: %w", err)
	}
	b := code.Bounds()
	dark := func(x, y int) bool { r, _, _, _ := code.At(x, y).RGBA(); return r == 0 }
	var path strings.Builder
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			start := x
			for x < b.Max.X && dark(x, y) {
				x++
			}
			if x > start {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", start+quietZone, y+quietZone, x-start, x-start)
			}
		}
	}
	return qrCode{Size: b.Dx() + 2*quietZone, Path: path.String()}, nil
}

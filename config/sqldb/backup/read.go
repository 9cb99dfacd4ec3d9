package backup

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"hash"
	"io"
)

// Verify reads a backup to its end and says whether it is whole and was made
// with one of secrets. wanted, unless nil, looks at the header first: its error
// saves reading the rest.
func Verify(ctx context.Context, in io.Reader, secrets [][]byte, wanted func(Header) error, note func(Progress)) (Header, Progress, error) {
	r, err := open(in, secrets, note)
	if err != nil {
		return Header{}, Progress{}, err
	}
	if wanted != nil {
		if err := wanted(r.header); err != nil {
			return r.header, Progress{}, err
		}
	}
	err = r.each(ctx, func(control) error { return nil }, func([]byte) error { return nil })
	return r.header, r.Progress, err
}

// A reader goes through the lines of a backup once.
type reader struct {
	Progress
	header  Header
	in      *bufio.Reader
	sum     hash.Hash
	secrets [][]byte
	note    func(Progress)
}

func open(in io.Reader, secrets [][]byte, note func(Progress)) (*reader, error) {
	squeezed, err := gzip.NewReader(in)
	if err != nil {
		return nil, broken("%w", err)
	}
	r := &reader{in: bufio.NewReaderSize(squeezed, 64<<10), sum: sha256.New(), secrets: secrets, note: note}
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(line, &r.header); err != nil || r.header.Format == 0 {
		return nil, broken("it does not begin as a backup does")
	}
	if r.header.Format != format {
		return nil, broken("it is of format %d, and this binary knows %d", r.header.Format, format)
	}
	r.hash(line)
	return r, nil
}

// line is the next one, without its end.
func (r *reader) line() ([]byte, error) {
	var whole []byte
	for {
		part, err := r.in.ReadSlice('\n')
		if len(whole)+len(part) > maxLine+1 {
			return nil, broken("a row is too large")
		}
		switch {
		case err == nil && whole == nil:
			return part[:len(part)-1], nil
		case err == nil:
			return append(whole, part[:len(part)-1]...), nil
		case errors.Is(err, bufio.ErrBufferFull):
			whole = append(whole, part...)
		case errors.Is(err, io.EOF):
			return nil, broken("it ends in the middle")
		default:
			return nil, broken("%w", err)
		}
	}
}

func (r *reader) hash(line []byte) {
	r.sum.Write(line)
	r.sum.Write([]byte{'\n'})
	r.Bytes += int64(len(line)) + 1
}

// each hands every line to table or row; the bytes of a row are good until the
// next. It returns nil only when the HMAC at the end was true and nothing
// follows it.
func (r *reader) each(ctx context.Context, table func(control) error, row func([]byte) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, err := r.line()
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte{'['}) {
			if r.Tables == 0 {
				return broken("a row in front of every table")
			}
			r.hash(line)
			if r.Rows++; r.Rows%noteEvery == 0 {
				r.tell()
			}
			if err := row(line); err != nil {
				return err
			}
			continue
		}
		var c control
		if err := json.Unmarshal(line, &c); err != nil || (c.Table == "") == (c.HMAC == nil) {
			return broken("a line is neither a row nor a table")
		}
		if c.HMAC != nil {
			return r.end(c)
		}
		r.hash(line)
		r.Table, r.Tables = c.Table, r.Tables+1
		r.tell()
		if err := table(c); err != nil {
			return err
		}
	}
}

// end checks the last line and that there is none behind it.
func (r *reader) end(c control) error {
	sum, good := r.sum.Sum(nil), false
	for _, secret := range r.secrets {
		want, err := seal(secret, sum)
		if err != nil {
			return err
		}
		good = good || hmac.Equal(want, c.HMAC)
	}
	if !good || c.Rows != r.Rows {
		return broken("it was changed, or made with keys that this configuration does not name")
	}
	// Reading on to the end has the layers below check theirs.
	if n, err := io.Copy(io.Discard, r.in); err != nil {
		return broken("%w", err)
	} else if n > 0 {
		return broken("something follows its end")
	}
	r.tell()
	return nil
}

func (r *reader) tell() {
	if r.note != nil {
		r.note(r.Progress)
	}
}

package checkpoint

import (
	"cmp"
	"encoding/binary"
	"io"
	"slices"
)

// metadataKey is the one header key that is not a tensor.
const metadataKey = "__metadata__"

// A container is what a file of any format turns into.
type container struct {
	tensors  map[string]*tensor
	metadata map[string]string
	classes  []string        // TorchScript only: class names of the saved modules
	nested   map[string]bool // torch only: keys of the outermost dict whose values are dicts
}

// readSafetensors parses the header of a safetensors file and checks that the
// payloads tile the rest of the file exactly: no overlap, no hole, no tail.
//
// Format: https://github.com/huggingface/safetensors#format
func readSafetensors(path string, r io.ReaderAt, fileSize int64) (*container, error) {
	header, err := safetensorsHeader(r, fileSize)
	if err != nil {
		return nil, err
	}
	begin := 8 + int64(len(header))
	p := headerParser{
		json: jsonReader{src: header, base: 8},
		room: uint64(fileSize - begin),
	}
	if err := p.header(); err != nil {
		return nil, err
	}
	c := &container{tensors: make(map[string]*tensor, len(p.spans)), metadata: p.metadata}

	slices.SortFunc(p.spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.info.Name, b.info.Name))
	})
	at := uint64(0)
	for _, s := range p.spans {
		if s.begin != at {
			problem := "payloads overlap"
			if s.begin > at {
				problem = "hole between payloads"
			}
			return nil, fault(Corrupt, "%s", problem).in(s.info.Name).at(begin+int64(at)).wanted(at, s.begin)
		}
		at = s.end
		c.tensors[s.info.Name] = &tensor{Info: s.info, store: &storage{
			r: r, path: path, offset: begin + int64(s.begin), size: int64(s.end - s.begin),
		}}
	}
	if at != p.room {
		return nil, fault(Corrupt, "bytes after the last payload").at(begin+int64(at)).wanted(at, p.room)
	}
	return c, nil
}

// safetensorsHeader returns the JSON text of the header.
func safetensorsHeader(r io.ReaderAt, fileSize int64) ([]byte, error) {
	if fileSize < 8+2 {
		return nil, fault(Corrupt, "too short for a safetensors file").wanted("at least 10 bytes", fileSize)
	}
	var prefix [8]byte
	if err := readFull(r, prefix[:], 0); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(prefix[:])
	if n > maxHeader {
		return nil, fault(Limit, "safetensors header too long").at(0).wanted("at most 16777216 bytes", n)
	}
	if n > uint64(fileSize-8) {
		return nil, fault(Corrupt, "safetensors header reaches beyond the file: truncated?").at(0).wanted(fileSize-8, n)
	}
	header := make([]byte, n)
	if err := readFull(r, header, 8); err != nil {
		return nil, err
	}
	return header, nil
}

// A span is a tensor with its payload's place in the data part.
type span struct {
	info       Info
	begin, end uint64
}

type headerParser struct {
	json     jsonReader
	room     uint64 // bytes of the data part
	spans    []span
	metadata map[string]string
}

func (p *headerParser) header() error {
	if len(p.json.src) == 0 || p.json.src[0] != '{' {
		return p.json.fail("safetensors header").wanted(`"{"`, p.json.found())
	}
	err := p.json.object(func(name string) error {
		if name == metadataKey {
			return p.readMetadata()
		}
		if !validName(name) {
			return p.json.fail("tensor name is not 1 to %d bytes of printable ASCII", maxName).in(name)
		}
		if len(p.spans) == maxTensors {
			return fault(Limit, "more than %d tensors", maxTensors).at(p.json.base + int64(p.json.pos))
		}
		return p.tensor(name)
	})
	if err != nil {
		return err
	}
	for ; p.json.pos < len(p.json.src); p.json.pos++ {
		if p.json.src[p.json.pos] != ' ' {
			return p.json.fail("bytes after the safetensors header").wanted("spaces", p.json.found())
		}
	}
	return nil
}

func (p *headerParser) readMetadata() error {
	p.metadata = make(map[string]string)
	return p.json.object(func(key string) error {
		if len(p.metadata) == maxMetadata {
			return fault(Limit, "more than %d metadata entries", maxMetadata).in(metadataKey)
		}
		value, err := p.json.text()
		p.metadata[key] = value
		return err
	})
}

func (p *headerParser) tensor(name string) error {
	s := span{info: Info{Name: name, Shape: []int{}}}
	start := p.json.base + int64(p.json.pos)
	fields := 0
	err := p.json.object(func(key string) error {
		fields++
		switch key {
		case "dtype":
			text, err := p.json.text()
			if err != nil {
				return err
			}
			d, ok := parseDType(text)
			if !ok {
				return fault(Unsupported, "element type %s", quote(text)).at(start)
			}
			s.info.DType = d
			return nil
		case "shape":
			return p.json.array(func(int) error {
				d, err := p.json.natural()
				if err != nil {
					return err
				}
				if len(s.info.Shape) == maxRank {
					return fault(Limit, "more than %d axes", maxRank).at(start)
				}
				n, ok := sizeOf(d).int()
				if !ok {
					return fault(Limit, "axis length %d", d).at(start)
				}
				s.info.Shape = append(s.info.Shape, n)
				return nil
			})
		case "data_offsets":
			count := 0
			err := p.json.array(func(i int) error {
				n, err := p.json.natural()
				switch i {
				case 0:
					s.begin = n
				case 1:
					s.end = n
				}
				count = i + 1
				return err
			})
			if err == nil && count != 2 {
				return p.json.fail("data_offsets").wanted("two numbers", count)
			}
			return err
		}
		return p.json.fail("unknown key %s", quote(key)).wanted("dtype, shape or data_offsets", quote(key))
	})
	if err != nil {
		return entryFault(err, name)
	}
	if fields != 3 {
		return fault(Corrupt, "incomplete tensor").in(name).at(start).wanted("dtype, shape and data_offsets", fields)
	}
	if s.begin > s.end || s.end > p.room {
		return fault(Corrupt, "payload outside the file: truncated?").in(name).at(start).
			wanted(rangeText(0, p.room), rangeText(s.begin, s.end))
	}
	bytes := elements(s.info.Shape).times(uint64(s.info.DType.Size()))
	if bytes.overflow {
		return fault(Limit, "shape %v overflows", s.info.Shape).in(name).at(start)
	}
	if bytes.n != s.end-s.begin {
		return fault(Corrupt, "payload size does not fit shape %v of %v", s.info.Shape, s.info.DType).
			in(name).at(start).wanted(bytes.n, s.end-s.begin)
	}
	p.spans = append(p.spans, s)
	return nil
}

// entryFault names the entry in an error that does not name one yet.
func entryFault(err error, name string) error {
	if e, ok := err.(*Error); ok && e.Entry == "" {
		e.Entry = name
	}
	return err
}

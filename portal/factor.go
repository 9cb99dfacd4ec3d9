package portal

import "time"

// StepSeconds is how long a TOTP code is shown (RFC 6238, section 4.1).
const StepSeconds = 30

// StepAt is the number of the TOTP step at a time.
func StepAt(t time.Time) int64 { return t.Unix() / StepSeconds }

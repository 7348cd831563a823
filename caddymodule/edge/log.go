package edge

import (
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// currentLog is a zap core that writes to the log of the configuration in force.
// The engine outlives configurations, and their log files are closed with them.
type currentLog struct {
	to     *atomic.Pointer[zapcore.Core]
	fields []zapcore.Field
}

func newCurrentLog() *currentLog {
	c := &currentLog{to: new(atomic.Pointer[zapcore.Core])}
	c.use(zap.NewNop())
	return c
}

// use changes where lines go from now on, for this core and all made from it.
func (c *currentLog) use(l *zap.Logger) {
	core := l.Core()
	c.to.Store(&core)
}

// Enabled implements zapcore.Core.
func (c *currentLog) Enabled(l zapcore.Level) bool { return (*c.to.Load()).Enabled(l) }

// With implements zapcore.Core. The fields wait here, because the core that they
// would be added to changes.
func (c *currentLog) With(fields []zapcore.Field) zapcore.Core {
	all := make([]zapcore.Field, 0, len(c.fields)+len(fields))
	return &currentLog{to: c.to, fields: append(append(all, c.fields...), fields...)}
}

// Check implements zapcore.Core: the core behind takes the entry itself.
func (c *currentLog) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.Enabled(e.Level) {
		return ce
	}
	return c.core().Check(e, ce)
}

// Write implements zapcore.Core.
func (c *currentLog) Write(e zapcore.Entry, fields []zapcore.Field) error {
	return c.core().Write(e, fields)
}

// Sync implements zapcore.Core.
func (c *currentLog) Sync() error { return (*c.to.Load()).Sync() }

func (c *currentLog) core() zapcore.Core {
	core := *c.to.Load()
	if len(c.fields) > 0 {
		core = core.With(c.fields)
	}
	return core
}

// Interface guard
var _ zapcore.Core = (*currentLog)(nil)

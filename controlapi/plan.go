package controlapi

import "time"

// Bounds of plans.
const (
	// MaxSession is the longest life of a token that the control plane issues, and the
	// default of a plan's; a denied user is denied for so long.
	MaxSession = 24 * time.Hour
	// MinSession is the shortest.
	MinSession = time.Minute
	// MaxPlanDuration bounds what one renewal adds.
	MaxPlanDuration = 10 * 366 * 24 * time.Hour
	// MaxAmount bounds prices, credit limits and movements.
	MaxAmount = 1_000_000_000_000
	// MaxConnectionsLimit is what a stream token can say.
	MaxConnectionsLimit = 999
	// MaxPlanBouquets bounds a plan's bouquets.
	MaxPlanBouquets = 100
)

// Plan is what a user buys. Only the operator owns plans; every reseller sees and uses
// them, as far as its grants reach. The price moves from the reseller's account to the
// operator's revenue.
type Plan struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Price is in credits, 0 to MaxAmount.
	Price int64 `json:"price"`
	// Duration is what creating or renewing gives, whole seconds.
	Duration time.Duration `json:"duration"`
	// Session is the longest life of a token, MinSession to MaxSession, whole seconds.
	Session time.Duration `json:"session"`
	// MaxConnections is the users' most sessions, 1 to 999; 0: no limit.
	MaxConnections int `json:"max_connections"`
	// Bouquets are ids of the operator's bouquets.
	Bouquets  []string  `json:"bouquets"`
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
}

// PlanCreate is a plan to be made. A Session of 0 is MaxSession.
type PlanCreate struct {
	ID             string
	Name           string
	Price          int64
	Duration       time.Duration
	Session        time.Duration
	MaxConnections int
	Bouquets       []string
}

// PlanUpdate changes what is not nil. A user who has paid keeps the expiry that it paid for.
type PlanUpdate struct {
	Name           *string
	Price          *int64
	Duration       *time.Duration
	Session        *time.Duration
	MaxConnections *int
	Bouquets       *[]string
}

// MaxBouquetStreams bounds a bouquet.
const MaxBouquetStreams = 10_000

// Bouquet is a named list of streams. The operator's are what plans consist of; a
// reseller's are for its own tokens, and hold streams that it can see. A bouquet grants
// nothing by itself.
type Bouquet struct {
	ID        string    `json:"id"`
	OwnerID   string    `json:"owner_id"`
	Name      string    `json:"name"`
	Streams   []string  `json:"streams"`
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
}

// BouquetCreate is a bouquet to be made.
type BouquetCreate struct {
	// ID may be chosen by the operator only; empty: the server makes one.
	ID string
	// OwnerID is a reseller in scope; empty: the scope's own.
	OwnerID string
	Name    string
	Streams []string
}

// BouquetUpdate changes what is not nil.
type BouquetUpdate struct {
	Name    *string
	Streams *[]string
}

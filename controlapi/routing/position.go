package routing

import "math"

// Position is a place on earth. The zero value is none: make one with At.
type Position struct {
	x, y, z float64 // on the unit sphere: distances between these cost no trigonometry but one arc
}

// At gives the place of a latitude and a longitude, in degrees north and east.
func At(lat, lon float64) Position {
	const radian = math.Pi / 180
	sinLat, cosLat := math.Sincos(lat * radian)
	sinLon, cosLon := math.Sincos(lon * radian)
	return Position{cosLat * cosLon, cosLat * sinLon, sinLat}
}

const earthRadius = 6371.0 // km

// Kilometres is the distance along the surface.
func (p Position) Kilometres(q Position) float64 {
	dx, dy, dz := p.x-q.x, p.y-q.y, p.z-q.z
	return 2 * earthRadius * math.Asin(clamp(math.Sqrt(dx*dx+dy*dy+dz*dz)/2))
}

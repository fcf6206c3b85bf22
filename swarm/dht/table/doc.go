// Package table is the routing table of a DHT node: pure data, without
// goroutine, socket or clock.
//
// # Shape
//
// Bucket i holds the nodes that share exactly i leading bits with our own ID.
// That is the tree of BEP 5 ("only the bucket that contains our own ID is
// split") without the splitting: the buckets near our ID just stay empty. As in
// libtorrent (routing_table.cpp, "extended routing table") the first four
// buckets hold 128, 64, 32 and 16 nodes, the others 8: a lookup starts four
// bits further for about 230 nodes more.
//
// # Who is in it
//
// Only nodes that answered a query of ours; whoever merely queried us, or was
// named by others, is at most worth a ping. A node is good if it answered
// within the last 15 minutes, or ever answered and queried us within them (BEP
// 5, "Routing Table"); else it is questionable and due for a check; after an
// unanswered query it is suspect and checked again soon; after three it is
// dropped, or after one if a replacement is waiting.
//
// # Who is preferred
//
// Old nodes stay (Kademlia: who lived long lives on), except that in a full
// bucket a newcomer replaces, in this order: a suspect node; a node whose ID
// does not fit its address (BEP 42), if the newcomer's does; the youngest of
// those that crowd one branch below the bucket, if the newcomer opens an empty
// branch. The last keeps the nodes of a bucket spread over the IDs, which saves
// hops (libtorrent does the same). Everybody else waits in a replacement cache
// of eight.
//
// # Diversity
//
// One node per IP address in the table and one per /24 (IPv6: /64) in a bucket,
// so that a single network cannot fill it. Addresses of local networks are
// exempt: many nodes on one host or LAN are normal there.
package table

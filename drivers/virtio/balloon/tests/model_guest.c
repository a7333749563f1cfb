// SPDX-License-Identifier: GPL-2.0
/*
 * A model of a guest's memory. model_guest.h describes its purpose and limits.
 */

#include <linux/bitops.h>
#include <linux/bug.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "model_guest.h"

#define ACTIVE		0x01
#define REFERENCED	0x02
#define YOUNG		0x04	/* mapped, and used since reclaim last looked */
#define WORKINGSET	0x08
#define RESIDENT	0x10
#define EVICTED		0x20	/* has a shadow entry; anonymous: is in swap */
#define BY_CGROUP	0x40	/* its cgroup's reclaim evicted it */
#define IS_ANON		0x80

#define SWAPPINESS		60
#define SWAP_CLUSTER		32U
#define DEF_PRIORITY		12
/* A turn of tasks and kswapd. */
#define TURN			(2 * MODEL_MS)
/* The cost of a page for kswapd, or for a task that reclaims by itself. */
#define RECLAIM_NS		1500U
#define ROTATE_NS		200U
#define ZRAM_NS			8000U
/* No disk reads more than 2 GiB a second. */
#define PAGE_NS			2000U
/* The part of an access in user mode, at most. */
#define ACCESS_USER_NS		4000ULL
/* Swap is written in clusters, at most this far ahead of the device. */
#define SWAP_WRITE_AHEAD	(100 * MODEL_MS)

static struct model_page *page_at(const struct model_guest *guest, u32 nr)
{
	return &guest->chunks[nr >> MODEL_CHUNK_SHIFT][nr & (MODEL_CHUNK - 1)];
}

static u32 random_below(struct model_guest *guest, u32 end)
{
	u64 x = guest->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	guest->random = x;
	return ((x >> 32) * end) >> 32;
}

/* The first page numbers are heads of lists. */
static u32 list_of(u32 lruvec, enum model_lru lru)
{
	return lruvec * MODEL_LRUS + lru;
}

static enum model_lru lru_of(const struct model_page *page)
{
	return (page->flags & IS_ANON ? MODEL_INACTIVE_ANON :
					MODEL_INACTIVE_FILE) +
	       !!(page->flags & ACTIVE);
}

static void lru_add(struct model_guest *guest, u32 nr)
{
	struct model_page *page = page_at(guest, nr);
	enum model_lru lru = lru_of(page);
	u32 head = list_of(page->lruvec, lru);
	struct model_page *first = page_at(guest, head);

	page->prev = head;
	page->next = first->next;
	page_at(guest, first->next)->prev = nr;
	first->next = nr;
	guest->lruvecs[page->lruvec].size[lru]++;
}

static void lru_del(struct model_guest *guest, u32 nr)
{
	struct model_page *page = page_at(guest, nr);

	page_at(guest, page->prev)->next = page->next;
	page_at(guest, page->next)->prev = page->prev;
	guest->lruvecs[page->lruvec].size[lru_of(page)]--;
}

static u32 node_of(u32 lruvec)
{
	return lruvec / MODEL_CGROUPS;
}

static u32 cgroup_of(u32 lruvec)
{
	return lruvec % MODEL_CGROUPS;
}

static u32 root_of(u32 lruvec)
{
	return node_of(lruvec) * MODEL_CGROUPS;
}

/* Sizes follow the hierarchy: the root's lruvec has all pages of its node. */
static u32 lruvec_size(const struct model_guest *guest, u32 lruvec,
		       enum model_lru lru)
{
	u32 size = guest->lruvecs[lruvec].size[lru], i;

	if (!cgroup_of(lruvec))
		for (i = 1; i < MODEL_CGROUPS; i++)
			size += guest->lruvecs[lruvec + i].size[lru];
	return size;
}

static void age(struct model_guest *guest, u32 lruvec)
{
	guest->lruvecs[lruvec].age++;
	if (cgroup_of(lruvec))
		guest->lruvecs[root_of(lruvec)].age++;
}

static void note_cost(struct model_guest *guest, u32 lruvec, bool file,
		      u32 cost)
{
	struct model_lruvec *root;
	u64 size;

	for (;;) {
		root = &guest->lruvecs[lruvec];
		size = lruvec_size(guest, lruvec, MODEL_INACTIVE_ANON) +
		       lruvec_size(guest, lruvec, MODEL_ACTIVE_ANON) +
		       lruvec_size(guest, lruvec, MODEL_INACTIVE_FILE) +
		       lruvec_size(guest, lruvec, MODEL_ACTIVE_FILE);
		root->cost[file] += cost;
		if (root->cost[0] + root->cost[1] > size / 4) {
			root->cost[0] /= 2;
			root->cost[1] /= 2;
		}
		if (lruvec == root_of(lruvec))
			return;
		lruvec = root_of(lruvec);
	}
}

static void count_item(struct model_guest *guest, u32 nid, enum model_item item)
{
	struct model_node *node = &guest->nodes[nid];

	node->exact[item]++;
	if (node->exact[item] - node->visible[item] >= guest->fold_at)
		node->visible[item] = node->exact[item];
}

static void fold(struct model_guest *guest)
{
	u32 nid;

	for (nid = 0; nid < guest->nr_nodes; nid++)
		memcpy(guest->nodes[nid].visible, guest->nodes[nid].exact,
		       sizeof(guest->nodes[nid].visible));
}

static u32 inactive_ratio(u32 pages)
{
	u32 gib = pages >> 18;

	return gib ? int_sqrt(10 * gib) : 1;
}

static bool inactive_is_low(const struct model_guest *guest, u32 lruvec,
			    enum model_lru inactive)
{
	u32 in = lruvec_size(guest, lruvec, inactive);
	u32 act = lruvec_size(guest, lruvec, inactive + 1);

	return in * inactive_ratio(in + act) < act;
}

static struct model_zone *zone_of(struct model_guest *guest,
				  const struct model_page *page)
{
	return &guest->nodes[node_of(page->lruvec)].zones[page->zone];
}

static void page_freed(struct model_guest *guest, struct model_page *page)
{
	zone_of(guest, page)->free++;
	guest->lruvecs[page->lruvec].charged--;
	guest->sets[page->set].resident--;
	page->flags &= ~(RESIDENT | ACTIVE | REFERENCED | YOUNG);
}

/* A page is compressed to a third, and takes memory of the guest itself. */
static void zram_uses(struct model_guest *guest, int thirds)
{
	struct model_zone *zone;
	u32 nid, z;

	guest->zram_thirds += thirds;
	for (nid = 0; nid < guest->nr_nodes; nid++) {
		for (z = 0; z < MODEL_ZONES; z++) {
			zone = &guest->nodes[nid].zones[z];
			while (guest->zram_thirds >= 6 && zone->free) {
				guest->zram_thirds -= 3;
				zone->free--;
			}
		}
	}
	while (guest->zram_thirds < 3) {
		guest->zram_thirds += 3;
		guest->nodes[0].zones[MODEL_ZONES - 1].free++;
	}
}

/* Returns false if swap is full, or the task would have to wait for it. */
static bool swap_out(struct model_guest *guest, u64 *cost)
{
	if (!guest->swap_free)
		return false;
	if (guest->swap_kind == MODEL_SWAP_ZRAM) {
		*cost += ZRAM_NS;
		zram_uses(guest, 1);
	} else {
		if (guest->swap.busy_until > guest->now + SWAP_WRITE_AHEAD)
			return false;
		guest->swap.busy_until = max(guest->swap.busy_until,
					     guest->now) +
					 guest->swap.request_ns / SWAP_CLUSTER;
	}
	guest->swap_free--;
	guest->swapped_out++;
	return true;
}

static void evict(struct model_guest *guest, u32 nr, u32 target)
{
	struct model_page *page = page_at(guest, nr);

	page->shadow = guest->lruvecs[target].age;
	age(guest, target);
	lru_del(guest, nr);
	page_freed(guest, page);
	page->flags |= EVICTED;
	if (cgroup_of(target))
		page->flags |= BY_CGROUP;
	else
		page->flags &= ~BY_CGROUP;
}

static void rotate(struct model_guest *guest, u32 nr, u8 clear, u8 set)
{
	struct model_page *page = page_at(guest, nr);

	lru_del(guest, nr);
	page->flags = (page->flags & ~clear) | set;
	lru_add(guest, nr);
}

static void shrink_active(struct model_guest *guest, u32 lruvec,
			  enum model_lru lru, u32 nr, u64 *cost)
{
	u32 head = list_of(lruvec, lru);

	for (; nr && page_at(guest, head)->prev != head; nr--) {
		rotate(guest, page_at(guest, head)->prev, ACTIVE | YOUNG,
		       WORKINGSET);
		*cost += ROTATE_NS;
	}
}

static u32 shrink_inactive(struct model_guest *guest, u32 lruvec,
			   enum model_lru lru, u32 nr, u32 target, u64 *cost)
{
	u32 head = list_of(lruvec, lru), got = 0, scanned = 0, tail;
	bool file = lru == MODEL_INACTIVE_FILE;
	struct model_page *page;

	for (; scanned < nr && page_at(guest, head)->prev != head; scanned++) {
		tail = page_at(guest, head)->prev;
		page = page_at(guest, tail);
		if (!file && page->flags & YOUNG) {
			rotate(guest, tail, YOUNG | REFERENCED,
			       page->flags & REFERENCED ? ACTIVE : REFERENCED);
			*cost += ROTATE_NS;
			continue;
		}
		*cost += RECLAIM_NS;
		if (!file && !swap_out(guest, cost)) {
			rotate(guest, tail, 0, 0);
			continue;
		}
		evict(guest, tail, target);
		got++;
	}
	if (scanned)
		note_cost(guest, target, file,
			  scanned - got + (file ? 0 : got * SWAP_CLUSTER));
	if (!cgroup_of(target)) {
		guest->scanned += scanned;
		guest->stolen += got;
	}
	return got;
}

/* Sets how much of each list one round scans, as get_scan_count() does. */
static u64 scan_weights(const struct model_guest *guest, u32 target,
			u64 weight[MODEL_LRUS])
{
	const struct model_lruvec *root = &guest->lruvecs[target];
	u64 total, anon_cost, file_cost, anon, file, most = 0;
	u32 in = lruvec_size(guest, target, MODEL_INACTIVE_FILE);
	u32 act = lruvec_size(guest, target, MODEL_ACTIVE_FILE), i, high = 0;
	bool deactivates[2], tiny;

	for (i = 0; i < 2; i++)
		deactivates[i] = root->activated[i] != root->seen[i] ||
				 inactive_is_low(guest, target,
						 2 * i);
	for (i = 0; i < MODEL_ZONES; i++)
		high += guest->nodes[node_of(target)].zones[i].high;
	tiny = !cgroup_of(target) && in + act <= high;

	anon_cost = root->cost[0];
	file_cost = root->cost[1];
	total = anon_cost + file_cost;
	anon_cost += total;
	file_cost += total;
	total = anon_cost + file_cost;
	anon = div64_u64(SWAPPINESS * (total + 1), anon_cost + 1);
	file = div64_u64((200 - SWAPPINESS) * (total + 1), file_cost + 1);
	if (!guest->swap_free || (in >> DEF_PRIORITY && !deactivates[1]))
		anon = 0;
	else if (tiny && lruvec_size(guest, target, MODEL_INACTIVE_ANON))
		file = 0;

	for (i = 0; i < MODEL_LRUS; i++) {
		weight[i] = (i < MODEL_INACTIVE_FILE ? anon : file) *
			    lruvec_size(guest, target, i);
		if (i % 2 && !deactivates[i / 2])
			weight[i] = 0;
		most = max(most, weight[i]);
	}
	return most;
}

static u32 shrink_lruvec(struct model_guest *guest, u32 lruvec, u32 target,
			 const u64 weight[MODEL_LRUS], u64 most, u32 *scanned,
			 u64 *cost)
{
	struct model_lruvec *vec = &guest->lruvecs[lruvec];
	u32 lru, nr, got = 0, size;

	for (lru = 0; lru < MODEL_LRUS; lru++) {
		size = lruvec_size(guest, target, lru);
		if (!size || !weight[lru])
			continue;
		/* In sixteenths of a page, so that small lists get a share. */
		vec->due[lru] += div64_u64(div64_u64(weight[lru] * 1024, most) *
					   vec->size[lru], size);
		nr = vec->due[lru] / 16;
		vec->due[lru] %= 16;
		*scanned += nr;
		if (lru % 2)
			shrink_active(guest, lruvec, lru, nr, cost);
		else
			got += shrink_inactive(guest, lruvec, lru, nr, target,
					       cost);
	}
	return got;
}

/*
 * Reclaims @want pages, or for as long as @budget lasts. Reclaim of a cgroup
 * has the cgroup's own lruvec as its target. All other reclaim has the root's
 * lruvec, which stands for the whole node.
 */
static u32 reclaim(struct model_guest *guest, u32 target, u32 want, u64 budget,
		   u64 *cost)
{
	struct model_lruvec *root = &guest->lruvecs[target];
	u32 got = 0, scanned = 0, i, enough = 0;
	u64 weight[MODEL_LRUS], most;

	for (i = 0; i < MODEL_LRUS; i++)
		enough += 3 * lruvec_size(guest, target, i);
	if (guest->driver && guest->driver->reclaims && !cgroup_of(target))
		guest->driver->reclaims(guest);
	while (got < want && *cost < budget && scanned <= enough) {
		most = scan_weights(guest, target, weight);
		if (!most)
			break;
		got += shrink_lruvec(guest, target, target, weight, most,
				     &scanned, cost);
		if (cgroup_of(target))
			continue;
		for (i = 1; i < MODEL_CGROUPS; i++)
			got += shrink_lruvec(guest, target + i, target, weight,
					     most, &scanned, cost);
	}
	memcpy(root->seen, root->activated, sizeof(root->seen));
	return got;
}

static bool zone_has(const struct model_zone *zone, u32 mark)
{
	return zone->free > mark + zone->reserve;
}

static bool node_is_balanced(const struct model_node *node)
{
	u32 z;

	for (z = 0; z < MODEL_ZONES; z++)
		if (node->zones[z].managed &&
		    zone_has(&node->zones[z], node->zones[z].high))
			return true;
	return false;
}

/* If reclaim gets nothing, kswapd gives up until a task wakes it again. */
static void run_kswapd(struct model_guest *guest, u32 nid)
{
	struct model_node *node = &guest->nodes[nid];
	u64 cost = node->kswapd_debt;

	while (node->kswapd && cost < TURN) {
		if (node_is_balanced(node)) {
			node->kswapd = false;
		} else if (reclaim(guest, nid * MODEL_CGROUPS, SWAP_CLUSTER,
				   TURN, &cost)) {
			node->kswapd_failures = 0;
		} else {
			cost = max(cost, TURN);
			if (node->kswapd_failures++ > 16)
				node->kswapd = false;
		}
	}
	node->kswapd_debt = cost > TURN ? cost - TURN : 0;
}

static struct model_zone *zone_with(struct model_guest *guest, int nid,
				    bool only, bool at_min, u32 *at)
{
	struct model_zone *zone;
	u32 i, z, node;

	for (i = 0; i < (only ? 1 : guest->nr_nodes); i++) {
		node = (nid + i) % guest->nr_nodes;
		for (z = MODEL_ZONES; z--;) {
			zone = &guest->nodes[node].zones[z];
			if (zone_has(zone, at_min ? zone->min : zone->low)) {
				*at = node * MODEL_ZONES + z;
				return zone;
			}
		}
	}
	return NULL;
}

static void wake_kswapd(struct model_guest *guest, int nid, bool only)
{
	u32 i;

	for (i = 0; i < guest->nr_nodes; i++)
		if (!only || i == nid)
			guest->nodes[i].kswapd = true;
}

static void free_set(struct model_guest *guest, u8 index)
{
	struct model_set *set = &guest->sets[index];
	struct model_page *page;
	u32 i;

	for (i = 0; i < set->nr; i++) {
		page = page_at(guest, set->first + i);
		if (page->flags & RESIDENT) {
			lru_del(guest, set->first + i);
			page_freed(guest, page);
		} else if (set->anon && page->flags & EVICTED) {
			guest->swap_free++;
			if (guest->swap_kind == MODEL_SWAP_ZRAM)
				zram_uses(guest, -1);
		}
		page->flags = set->anon ? IS_ANON : 0;
	}
}

static void kill_largest(struct model_guest *guest)
{
	struct model_set *set, *largest = NULL;
	u32 i;

	guest->kills++;
	for (i = 0; i < guest->nr_sets; i++) {
		set = &guest->sets[i];
		if (set->anon && (!largest || set->resident > largest->resident))
			largest = set;
	}
	if (!largest)
		return;
	for (i = 0; i < guest->nr_tasks; i++)
		if (&guest->sets[guest->tasks[i].set] == largest)
			guest->tasks[i].done = true;
	free_set(guest, largest - guest->sets);
}

/* Returns a zone that has a free page, after all that it takes to free one. */
static struct model_zone *allocate(struct model_guest *guest, int nid,
				   bool only, u32 *at, u64 *cost)
{
	struct model_zone *zone;
	u32 tries, i;

	zone = zone_with(guest, nid, only, false, at);
	if (zone)
		return zone;
	wake_kswapd(guest, nid, only);
	for (tries = 0;; tries++) {
		zone = zone_with(guest, nid, only, true, at);
		if (zone)
			return zone;
		if (tries == 16) {
			if (!guest->driver || !guest->driver->oom ||
			    !guest->driver->oom(guest))
				kill_largest(guest);
			tries = 0;
			if (guest->kills > 100)
				return NULL;
			continue;
		}
		guest->stalls++;
		for (i = 0; i < (only ? 1 : guest->nr_nodes); i++)
			reclaim(guest, (nid + i) % guest->nr_nodes *
				MODEL_CGROUPS, SWAP_CLUSTER, *cost + 20 * MODEL_MS,
				cost);
	}
}

/* A page of a set becomes resident. */
static bool add_page(struct model_guest *guest, u8 index, u32 nr, u64 *cost)
{
	struct model_set *set = &guest->sets[index];
	struct model_page *page = page_at(guest, nr);
	u32 at, nid = set->node < 0 ? 0 : set->node, limit = guest->limit[set->cgroup];
	struct model_zone *zone;
	u64 unlimited = ~0ULL;
	u32 i, charged = 0;

	if (set->cgroup && limit) {
		for (i = 0; i < guest->nr_nodes; i++)
			charged += guest->lruvecs[i * MODEL_CGROUPS +
						  set->cgroup].charged;
		if (charged >= limit)
			reclaim(guest, nid * MODEL_CGROUPS + set->cgroup,
				SWAP_CLUSTER, unlimited, cost);
	}
	/* A task that is bound to no node runs on different nodes in turn. */
	if (set->node < 0)
		nid = guest->nr_nodes > 1 ? nr / 512 % guest->nr_nodes : 0;
	zone = allocate(guest, nid, set->node >= 0, &at, cost);
	if (!zone)
		return false;
	zone->free--;
	page->zone = at % MODEL_ZONES;
	page->lruvec = at / MODEL_ZONES * MODEL_CGROUPS + set->cgroup;
	page->set = index;
	page->flags = (page->flags & ~(ACTIVE | REFERENCED | YOUNG)) | RESIDENT;
	guest->lruvecs[page->lruvec].charged++;
	set->resident++;
	return true;
}

/* The page was evicted before. Works as workingset_refault() does. */
static void refault(struct model_guest *guest, struct model_page *page)
{
	u32 own = page->lruvec, by, distance, size;
	bool file = !(page->flags & IS_ANON);
	u32 nid = node_of(own);

	by = page->flags & BY_CGROUP ? own : root_of(own);
	page->flags &= ~(EVICTED | BY_CGROUP);
	count_item(guest, nid, file ? MODEL_REFAULT_FILE : MODEL_REFAULT_ANON);
	distance = guest->lruvecs[by].age - page->shadow;
	size = lruvec_size(guest, by, MODEL_ACTIVE_FILE);
	if (!file)
		size += lruvec_size(guest, by, MODEL_INACTIVE_FILE);
	if (guest->swap_free)
		size += lruvec_size(guest, by, MODEL_ACTIVE_ANON) +
			(file ? lruvec_size(guest, by, MODEL_INACTIVE_ANON) : 0);
	if (distance > size)
		return;
	page->flags |= ACTIVE;
	age(guest, own);
	count_item(guest, nid,
		   file ? MODEL_ACTIVATE_FILE : MODEL_ACTIVATE_ANON);
	guest->lruvecs[own].activated[file]++;
	if (own != root_of(own))
		guest->lruvecs[root_of(own)].activated[file]++;
	if (page->flags & WORKINGSET)
		note_cost(guest, own, file, SWAP_CLUSTER);
}

static void disk_wait(struct model_disk *disk, u32 pages, u64 *when)
{
	disk->busy_until = max(disk->busy_until, *when) +
			   max(disk->request_ns, (u64)pages * PAGE_NS);
	disk->requests++;
	*when = disk->busy_until;
}

static void touch_resident(struct model_guest *guest, u32 nr)
{
	struct model_page *page = page_at(guest, nr);

	if (page->flags & IS_ANON) {
		page->flags |= YOUNG;
	} else if (!(page->flags & REFERENCED)) {
		page->flags |= REFERENCED;
	} else if (!(page->flags & ACTIVE)) {
		rotate(guest, nr, REFERENCED, ACTIVE);
		age(guest, page->lruvec);
	}
}

/* Returns whether the task had to wait for a disk. */
static bool bring_in(struct model_guest *guest, struct model_task *task,
		     u32 nr, u64 *when)
{
	struct model_page *page = page_at(guest, nr);
	struct model_set *set = &guest->sets[task->set];
	bool evicted = page->flags & EVICTED, waits;
	u64 before, cost = 0;

	if (!add_page(guest, task->set, nr, &cost))
		return true;
	*when += cost;
	waits = !set->anon || evicted;
	if (set->anon && evicted) {
		guest->swapped_in++;
		guest->swap_free++;
		if (guest->swap_kind == MODEL_SWAP_ZRAM) {
			zram_uses(guest, -1);
			*when += ZRAM_NS;
			waits = false;
		} else {
			before = *when;
			disk_wait(&guest->swap, 1, when);
			guest->waited_ns += *when - before;
		}
	}
	if (evicted)
		refault(guest, page);
	lru_add(guest, nr);
	return waits;
}

static u32 next_page(struct model_guest *guest, struct model_task *task)
{
	struct model_set *set = &guest->sets[task->set];
	u32 pos;

	if (task->pattern == MODEL_RANDOM)
		return set->first + random_below(guest, set->nr);
	pos = task->pos++;
	if (task->pos >= set->nr) {
		task->pos = 0;
		task->done |= task->pattern == MODEL_ONCE;
	}
	return set->first + pos;
}

static void access(struct model_guest *guest, struct model_task *task,
		   u64 *when)
{
	struct model_set *set = &guest->sets[task->set];
	u32 nr = next_page(guest, task), i;
	u64 before;

	task->accesses++;
	*when += task->access_ns;
	guest->user_ns += min(task->access_ns, ACCESS_USER_NS);
	if (!(page_at(guest, nr)->flags & RESIDENT)) {
		task->misses += bring_in(guest, task, nr, when);
		for (i = 1; i < task->readahead; i++) {
			if (nr + i >= set->first + set->nr ||
			    page_at(guest, nr + i)->flags & RESIDENT)
				break;
			bring_in(guest, task, nr + i, when);
		}
		if (!set->anon) {
			before = *when;
			disk_wait(&guest->disk, i, when);
			guest->waited_ns += *when - before;
		}
	}
	if (page_at(guest, nr)->flags & RESIDENT)
		touch_resident(guest, nr);
}

/* Threads take turns; each runs until it is ahead of the clock. */
static void run_task(struct model_guest *guest, struct model_task *task,
		     u64 end)
{
	u32 i, first;

	if (task->done || end <= task->start)
		return;
	if (task->end && end > task->end) {
		task->done = true;
		if (guest->sets[task->set].anon)
			free_set(guest, task->set);
		return;
	}
	if (task->grow_at && end > task->grow_at) {
		guest->sets[task->set].nr = task->grow_to;
		task->grow_at = 0;
	}
	first = task->threads > 1 ? random_below(guest, task->threads) : 0;
	for (i = 0; i < task->threads; i++) {
		u64 *ready = &task->ready[(first + i) % task->threads];

		*ready = max(*ready, end - TURN);
		while (*ready < end && !task->done)
			access(guest, task, ready);
	}
}

/**
 * model_guest_step - let MODEL_STEP pass
 * @guest: the guest
 */
void model_guest_step(struct model_guest *guest)
{
	u64 end = guest->now + MODEL_STEP;
	u32 i, first;

	while (guest->now < end) {
		for (i = 0; i < guest->nr_nodes; i++)
			run_kswapd(guest, i);
		first = guest->nr_tasks ?
			random_below(guest, guest->nr_tasks) : 0;
		for (i = 0; i < guest->nr_tasks; i++)
			run_task(guest,
				 &guest->tasks[(first + i) % guest->nr_tasks],
				 guest->now + TURN);
		guest->now += TURN;
	}
	if (guest->now - guest->folded_at >= MODEL_S) {
		guest->folded_at = guest->now;
		fold(guest);
	}
	if (guest->driver)
		guest->driver->run(guest);
}

static void zone_init(struct model_zone *zone, u32 pages, u32 all, u32 min_all,
		      u32 reserve)
{
	u32 gap;

	if (!pages)
		return;
	zone->managed = pages;
	zone->free = pages;
	zone->min = div_u64((u64)min_all * pages, all);
	gap = max(zone->min / 4, pages / 1000);
	zone->low = zone->min + gap;
	zone->high = zone->low + gap;
	zone->reserve = reserve;
}

/**
 * model_guest_init - start a guest with only its kernel in memory
 * @guest: the guest
 * @chunks: memory for the model, of MODEL_CHUNK page descriptions each
 * @nr_chunks: number of chunks
 * @mib: the guest's memory
 * @nr_nodes: number of nodes, all of the same size
 * @kernel_mib: part of @mib that the kernel keeps for itself
 * @iops: requests that the disk serves in a second
 * @seed: seed of random numbers, not 0
 *
 * The model's memory is the memory that zones manage, without the kernel's own.
 */
void model_guest_init(struct model_guest *guest, struct model_page **chunks,
		      u32 nr_chunks, u32 mib, u8 nr_nodes, u32 kernel_mib,
		      u32 iops, u64 seed)
{
	u32 pages = MODEL_MIB(mib - kernel_mib), nid, i, min_all, here, dma32;

	memset(guest, 0, sizeof(*guest));
	guest->chunks = chunks;
	guest->max_pages = nr_chunks << MODEL_CHUNK_SHIFT;
	for (i = 0; i < nr_chunks; i++)
		memset(chunks[i], 0, MODEL_CHUNK * sizeof(**chunks));
	guest->nr_pages = MODEL_LRUVECS * MODEL_LRUS;
	for (i = 0; i < guest->nr_pages; i++) {
		page_at(guest, i)->next = i;
		page_at(guest, i)->prev = i;
	}
	guest->nr_nodes = nr_nodes;
	guest->random = seed * 0x9e3779b97f4a7c15ULL + 1;
	guest->total = pages;
	guest->now = MODEL_S;
	guest->disk.request_ns = div_u64(MODEL_S, iops);
	model_guest_cpus(guest, 2);

	/* With transparent huge pages khugepaged raises it, to 5 % at most. */
	min_all = max3(int_sqrt(pages * 64) / 2,
		       min(pages / 20, (mib > 3072 ? 22U : 11U) * 512U), 32U);
	for (nid = 0; nid < nr_nodes; nid++) {
		struct model_zone *zones = guest->nodes[nid].zones;

		here = pages / nr_nodes;
		dma32 = nid || mib <= 3072 ? 0 : min(MODEL_MIB(3072), here / 2);
		zone_init(&zones[1], here - dma32, pages, min_all, 0);
		zone_init(&zones[0], dma32, pages, min_all,
			  (here - dma32) / 256);
	}
}

/**
 * model_guest_cpus - set the number of CPUs that count for themselves
 * @guest: the guest
 * @cpus: number of CPUs
 *
 * The threshold is that of calculate_normal_threshold(). Between two folds, a
 * counter hides at most fold_at events.
 */
void model_guest_cpus(struct model_guest *guest, u32 cpus)
{
	u32 threshold = 2 * fls(cpus) *
			(1 + fls(guest->total / guest->nr_nodes >> 15));

	guest->fold_at = cpus * min(threshold, 125U);
}

/**
 * model_guest_set - add a file, or the memory of a process
 * @guest: the guest
 * @pages: size of the set
 * @max: size to which the set may grow
 * @anon: the set is anonymous memory
 * @cgroup: the set's cgroup, 0 for the root
 * @node: the only node for the set's pages, or -1
 *
 * Return: the index of the set.
 */
u8 model_guest_set(struct model_guest *guest, u32 pages, u32 max, bool anon,
		   u8 cgroup, s8 node)
{
	u8 index = guest->nr_sets++;
	u32 i;

	guest->sets[index] = (struct model_set) {
		.first = guest->nr_pages,
		.nr = pages,
		.anon = anon,
		.cgroup = cgroup,
		.node = node,
	};
	guest->nr_pages += max(max, pages);
	if (WARN_ON(guest->nr_pages > guest->max_pages))
		guest->nr_pages = guest->max_pages;
	for (i = guest->sets[index].first; i < guest->nr_pages; i++)
		page_at(guest, i)->flags = anon ? IS_ANON : 0;
	return index;
}

/**
 * model_guest_task - add a task that uses a set
 * @guest: the guest
 * @set: the set
 * @pattern: the order of accesses
 * @threads: number of threads
 * @access_ns: time of an access of each thread
 *
 * Return: the task; the caller may set other members.
 */
struct model_task *model_guest_task(struct model_guest *guest, u8 set,
				    enum model_pattern pattern, u8 threads,
				    u64 access_ns)
{
	struct model_task *task = &guest->tasks[guest->nr_tasks++];

	task->set = set;
	task->pattern = pattern;
	task->threads = threads;
	task->access_ns = access_ns;
	task->readahead = pattern == MODEL_RANDOM || guest->sets[set].anon ? 1 : 32;
	return task;
}

/**
 * model_guest_swap - give the guest swap
 * @guest: the guest
 * @kind: on a disk of its own, or compressed in memory
 * @pages: size of the swap space
 * @iops: requests that the disk serves in a second
 */
void model_guest_swap(struct model_guest *guest, enum model_swap kind,
		      u32 pages, u32 iops)
{
	guest->swap_kind = kind;
	guest->swap_free = pages;
	guest->zram_thirds = 3;
	guest->swap.request_ns = div_u64(MODEL_S, iops);
}

/**
 * model_guest_fill - bring pages of a set into memory at no cost
 * @guest: the guest
 * @set: the set
 * @pages: number of pages, from the first one on
 *
 * If a task uses the set, the pages have been used more than once.
 */
void model_guest_fill(struct model_guest *guest, u8 set, u32 pages)
{
	u32 nr = guest->sets[set].first, end = nr + pages, i;
	bool used = false;
	u64 cost = 0;

	for (i = 0; i < guest->nr_tasks; i++)
		used |= guest->tasks[i].set == set;
	for (; nr < end; nr++) {
		struct model_page *page = page_at(guest, nr);

		if (page->flags & RESIDENT || !add_page(guest, set, nr, &cost))
			continue;
		if (used && !(page->flags & IS_ANON))
			page->flags |= ACTIVE;
		lru_add(guest, nr);
	}
}

/**
 * model_guest_free - NR_FREE_PAGES
 * @guest: the guest
 */
u32 model_guest_free(const struct model_guest *guest)
{
	u32 nid, z, free = 0;

	for (nid = 0; nid < guest->nr_nodes; nid++)
		for (z = 0; z < MODEL_ZONES; z++)
			free += guest->nodes[nid].zones[z].free;
	return free;
}

/**
 * model_guest_available - as si_mem_available()
 * @guest: the guest
 */
u32 model_guest_available(const struct model_guest *guest)
{
	u32 nid, z, reserved = 0, low = 0, cache = 0, lruvec;

	for (nid = 0; nid < guest->nr_nodes; nid++) {
		for (z = 0; z < MODEL_ZONES; z++) {
			reserved += guest->nodes[nid].zones[z].high +
				    guest->nodes[nid].zones[z].reserve;
			low += guest->nodes[nid].zones[z].low;
		}
		lruvec = nid * MODEL_CGROUPS;
		cache += lruvec_size(guest, lruvec, MODEL_INACTIVE_FILE) +
			 lruvec_size(guest, lruvec, MODEL_ACTIVE_FILE);
	}
	cache += model_guest_free(guest) - min(cache / 2, low);
	return cache > reserved ? cache - reserved : 0;
}

/**
 * model_guest_spare - free memory of a node beyond a watermark
 * @guest: the guest
 * @nid: the node
 * @high: the high watermark, else the low one
 */
u32 model_guest_spare(const struct model_guest *guest, u32 nid, bool high)
{
	u32 z, kept, spare = 0;

	for (z = 0; z < MODEL_ZONES; z++) {
		const struct model_zone *zone = &guest->nodes[nid].zones[z];

		kept = (high ? zone->high : zone->low) + zone->reserve;
		spare += zone->free > kept ? zone->free - kept : 0;
	}
	return spare;
}

/**
 * model_guest_lack - memory that zones lack to their high watermarks
 * @guest: the guest
 */
u32 model_guest_lack(const struct model_guest *guest)
{
	u32 nid, z, kept, lack = 0;

	for (nid = 0; nid < guest->nr_nodes; nid++) {
		for (z = 0; z < MODEL_ZONES; z++) {
			const struct model_zone *zone =
				&guest->nodes[nid].zones[z];

			kept = zone->high + zone->reserve;
			lack += kept > zone->free ? kept - zone->free : 0;
		}
	}
	return lack;
}

/**
 * model_guest_count - a node counter's sum, as a reader sees it
 * @guest: the guest
 * @item: the counter
 */
u64 model_guest_count(const struct model_guest *guest, enum model_item item)
{
	u64 sum = 0;
	u32 nid;

	for (nid = 0; nid < guest->nr_nodes; nid++)
		sum += guest->nodes[nid].visible[item];
	return sum;
}

/**
 * model_guest_sparest_node - as balloon_sparest_node()
 * @guest: the guest
 */
u32 model_guest_sparest_node(const struct model_guest *guest)
{
	u32 nid, best = 0;

	for (nid = 1; nid < guest->nr_nodes; nid++)
		if (model_guest_spare(guest, nid, false) >
		    model_guest_spare(guest, best, false))
			best = nid;
	return best;
}

/**
 * model_guest_take - the balloon allocates pages, and leaves reclaim to kswapd
 * @guest: the guest
 * @nid: the node to begin with
 * @pages: number of pages that the balloon wants
 * @stops_at_low: stop once no page is left above the low watermarks
 *
 * Return: pages that the balloon got.
 */
u32 model_guest_take(struct model_guest *guest, u32 nid, u32 pages,
		     bool stops_at_low)
{
	struct model_zone *zone;
	u32 at, got, spare, i;

	for (got = 0; got < pages; got++) {
		zone = zone_with(guest, nid, false, false, &at);
		if (!zone) {
			wake_kswapd(guest, nid, false);
			zone = zone_with(guest, nid, false, true, &at);
		}
		if (!zone)
			break;
		zone->free--;
		zone->held++;
		if (!stops_at_low || got % 32)
			continue;
		for (i = 0, spare = 0; i < guest->nr_nodes; i++)
			spare += model_guest_spare(guest, i, false);
		if (!spare)
			return got + 1;
	}
	return got;
}

/**
 * model_guest_take_hard - the balloon allocates, and reclaims by itself
 * @guest: the guest
 * @pages: number of pages that the balloon wants
 * @cost: time; reclaim adds its own to it
 *
 * Return: pages that the balloon got.
 */
u32 model_guest_take_hard(struct model_guest *guest, u32 pages, u64 *cost)
{
	struct model_zone *zone;
	u32 at, got, i;

	for (got = 0; got < pages; got++) {
		zone = zone_with(guest, 0, false, false, &at);
		if (!zone)
			wake_kswapd(guest, 0, false);
		for (i = 0; !zone && i < 2; i++) {
			zone = zone_with(guest, 0, false, true, &at);
			if (zone)
				break;
			guest->stalls++;
			reclaim(guest, i % guest->nr_nodes * MODEL_CGROUPS,
				SWAP_CLUSTER, *cost + 20 * MODEL_MS, cost);
			zone = zone_with(guest, 0, false, true, &at);
		}
		if (!zone)
			break;
		zone->free--;
		zone->held++;
	}
	return got;
}

/**
 * model_guest_give - the balloon frees pages in the zones that hold most
 * @guest: the guest
 * @pages: number of pages
 */
void model_guest_give(struct model_guest *guest, u32 pages)
{
	struct model_zone *zone, *most;
	u32 nid, z, nr;

	while (pages) {
		most = &guest->nodes[0].zones[0];
		for (nid = 0; nid < guest->nr_nodes; nid++) {
			for (z = 0; z < MODEL_ZONES; z++) {
				zone = &guest->nodes[nid].zones[z];
				if (zone->held > most->held)
					most = zone;
			}
		}
		nr = min3(pages, most->held, 1024U);
		if (WARN_ON(!nr))
			return;
		most->held -= nr;
		most->free += nr;
		pages -= nr;
	}
}

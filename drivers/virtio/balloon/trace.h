/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM virtio_balloon

#if !defined(_DRIVERS_VIRTIO_BALLOON_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _DRIVERS_VIRTIO_BALLOON_TRACE_H

#include <linux/tracepoint.h>

#include "virtio_balloon.h"

DECLARE_EVENT_CLASS(balloon_pages,
		    TP_PROTO(struct balloon_device *bd, unsigned long pages),
		    TP_ARGS(bd, pages),
		    TP_STRUCT__entry(__string(device, dev_name(&bd->vdev->dev))
				     __field(unsigned long, kib)
				     __field(unsigned long, size_kib)
				     __field(unsigned long, target_kib)),
		    TP_fast_assign(__assign_str(device);
				   __entry->kib = guest_pages_to_kib(pages);
				   __entry->size_kib =
					guest_pages_to_kib(balloon_size_roughly(&bd->ledger));
				   __entry->target_kib =
					guest_pages_to_kib(READ_ONCE(bd->config.target));),
		    TP_printk("device=%s kib=%lu size_kib=%lu target_kib=%lu",
			      __get_str(device), __entry->kib,
			      __entry->size_kib, __entry->target_kib)
);

/* Inflation took pages from the guest and queued them for the host. */
DEFINE_EVENT(balloon_pages, inflate,
	     TP_PROTO(struct balloon_device *bd, unsigned long pages),
	     TP_ARGS(bd, pages)
);

/* Deflation took pages out of the balloon and queued them for the host. */
DEFINE_EVENT(balloon_pages, deflate,
	     TP_PROTO(struct balloon_device *bd, unsigned long pages),
	     TP_ARGS(bd, pages)
);

/* mm replaced pages of the balloon by others. */
DEFINE_EVENT(balloon_pages, migrate,
	     TP_PROTO(struct balloon_device *bd, unsigned long pages),
	     TP_ARGS(bd, pages)
);

/*
 * Pages on trial have passed, and the host gets @kib. Or the trial has failed,
 * and the guest gets @kib back. @baseline is the number of refaults a second
 * without a trial. @refaults is the number in the window that decided.
 */
TRACE_EVENT(trial,
	    TP_PROTO(struct balloon_device *bd, unsigned long pages,
		     bool passed),
	    TP_ARGS(bd, pages, passed),
	    TP_STRUCT__entry(__string(device, dev_name(&bd->vdev->dev))
			     __field(unsigned long, kib)
			     __field(bool, passed)
			     __field(unsigned int, baseline)
			     __field(unsigned long, refaults)),
	    TP_fast_assign(__assign_str(device);
			   __entry->kib = guest_pages_to_kib(pages);
			   __entry->passed = passed;
			   __entry->baseline =
				balloon_control_baseline(&bd->restraint.experiment.control);
			   __entry->refaults = bd->restraint.experiment.refaults;),
	    TP_printk("device=%s kib=%lu verdict=%s baseline=%u refaults=%lu",
		      __get_str(device), __entry->kib,
		      __entry->passed ? "passed" : "failed",
		      __entry->baseline, __entry->refaults)
);

/* The guest has no memory to spare; the driver tries again in @delay_ms. */
TRACE_EVENT(hold,
	    TP_PROTO(struct balloon_device *bd, enum balloon_hold reason,
		     unsigned int delay_ms),
	    TP_ARGS(bd, reason, delay_ms),
	    TP_STRUCT__entry(__string(device, dev_name(&bd->vdev->dev))
			     __field(unsigned int, reason)
			     __field(unsigned int, delay_ms)
			     __field(unsigned long, size_kib)
			     __field(unsigned long, target_kib)),
	    TP_fast_assign(__assign_str(device);
			   __entry->reason = reason;
			   __entry->delay_ms = delay_ms;
			   __entry->size_kib =
				guest_pages_to_kib(balloon_size_roughly(&bd->ledger));
			   __entry->target_kib =
				guest_pages_to_kib(READ_ONCE(bd->config.target));),
	    TP_printk("device=%s reason=%s delay_ms=%u size_kib=%lu target_kib=%lu",
		      __get_str(device),
		      __print_symbolic(__entry->reason,
				       { BALLOON_HOLD_FLOOR, "floor" },
				       { BALLOON_HOLD_REFAULT, "refault" },
				       { BALLOON_HOLD_STALL, "stall" },
				       { BALLOON_HOLD_ALLOCATION,
					 "allocation" }),
		      __entry->delay_ms,
		      __entry->size_kib, __entry->target_kib)
);

#endif /* _DRIVERS_VIRTIO_BALLOON_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a network namespace holds, as far as netlink tells (rtnetlink(7), xfrm, nftables, ipset): a
 * list of messages, without what counts or tells the time, that can be compared with that of
 * another namespace.
 */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addrlabel.h>
#include <linux/neighbour.h>
#include <linux/net_namespace.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "namespace/internal.h"

#define BIT(attribute) (1ull << (attribute))

static const struct {
	struct nfgenmsg message;
	struct nlattr attribute;
	uint8_t protocol[NLA_ALIGNTO];
} ipset_request = {.attribute = {NLA_HDRLEN + 1, IPSET_ATTR_PROTOCOL},
		   .protocol = {IPSET_PROTOCOL}};
static const struct ndmsg proxies = {.ndm_flags = NTF_PROXY};

/* What is asked for, and which attributes of the answers change by themselves. */
static const struct question {
	const char *what;
	int protocol, type;
	size_t header;       /* bytes of the fixed part of an answer, and of the question */
	const void *request; /* all of the question behind its nlmsghdr, or NULL: zeros */
	size_t request_size;
	uint64_t ignored;
} questions[] = {
	{"devices besides lo, or settings of lo", NETLINK_ROUTE, RTM_GETLINK,
	 sizeof(struct ifinfomsg),
	 .ignored = BIT(IFLA_STATS) | BIT(IFLA_STATS64) | BIT(IFLA_AF_SPEC)},
	{"addresses", NETLINK_ROUTE, RTM_GETADDR, sizeof(struct ifaddrmsg),
	 .ignored = BIT(IFA_CACHEINFO)},
	{"routes", NETLINK_ROUTE, RTM_GETROUTE, sizeof(struct rtmsg),
	 .ignored = BIT(RTA_CACHEINFO)},
	{"routing rules", NETLINK_ROUTE, RTM_GETRULE, sizeof(struct fib_rule_hdr)},
	{"nexthop objects", NETLINK_ROUTE, RTM_GETNEXTHOP, sizeof(struct nhmsg)},
	{"neighbours", NETLINK_ROUTE, RTM_GETNEIGH, sizeof(struct ndmsg),
	 .ignored = BIT(NDA_CACHEINFO) | BIT(NDA_PROBES)},
	{"neighbour proxies", NETLINK_ROUTE, RTM_GETNEIGH, sizeof(struct ndmsg), &proxies,
	 sizeof(proxies)},
	{"address labels", NETLINK_ROUTE, RTM_GETADDRLABEL, sizeof(struct ifaddrlblmsg)},
	{"traffic control", NETLINK_ROUTE, RTM_GETQDISC, sizeof(struct tcmsg),
	 .ignored = BIT(TCA_STATS) | BIT(TCA_XSTATS) | BIT(TCA_STATS2)},
	{"ids of other network namespaces", NETLINK_ROUTE, RTM_GETNSID, sizeof(struct rtgenmsg)},
	{"IPsec associations", NETLINK_XFRM, XFRM_MSG_GETSA, 0},
	{"IPsec policies", NETLINK_XFRM, XFRM_MSG_GETPOLICY, 0},
	{"nftables", NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE,
	 sizeof(struct nfgenmsg)},
	{"ipsets", NETLINK_NETFILTER, NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST,
	 sizeof(struct nfgenmsg), &ipset_request, sizeof(ipset_request)},
};

struct object {
	const struct question *question;
	char *data;
	size_t size;
};

struct net_objects {
	ARRAY(struct object) all;
};

/* Entries of the cache come and go. */
static bool is_cached(const struct question *question, const struct nlmsghdr *message)
{
	const struct ndmsg *neighbour = NLMSG_DATA(message);

	return question->type == RTM_GETNEIGH && !question->request &&
	       !(neighbour->ndm_state & NUD_PERMANENT);
}

/* The fixed part and the attributes but those to be ignored. */
static void add(struct net_objects *objects, const struct question *question,
		const struct nlmsghdr *message)
{
	size_t size = NLMSG_PAYLOAD(message, 0), header = NLMSG_ALIGN(question->header);
	const char *data = NLMSG_DATA(message);
	struct object *object;

	if (size < question->header || is_cached(question, message))
		return;
	object = array_push(&objects->all);
	object->question = question;
	object->data = malloc(size + 1);
	if (!object->data)
		die_of_memory();
	memcpy(object->data, data, question->header);
	object->size = question->header;
	for (size_t at = header; at + sizeof(struct nlattr) <= size;) {
		const struct nlattr *attribute = (const void *)(data + at);
		unsigned int type = attribute->nla_type & NLA_TYPE_MASK;

		if (attribute->nla_len < sizeof(*attribute) || attribute->nla_len > size - at)
			break;
		if (!(type < 64 && question->ignored & BIT(type))) {
			memcpy(object->data + object->size, attribute, attribute->nla_len);
			object->size += attribute->nla_len;
		}
		at += NLA_ALIGN(attribute->nla_len);
	}
}

static int send_question(int fd, const struct question *question)
{
	static const char zeros[64];
	size_t size = question->request ? question->request_size : question->header;
	struct nlmsghdr header = {.nlmsg_len = NLMSG_LENGTH(size),
				  .nlmsg_type = question->type,
				  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP};
	struct iovec parts[] = {
		{&header, sizeof(header)},
		{(void *)(question->request ? question->request : zeros), size},
	};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	return sendmsg(fd, &message, 0) < 0 ? -errno : 0;
}

/* 1: there is more to come. */
static int take(struct net_objects *objects, const struct question *question, const char *data,
		size_t size)
{
	const struct nlmsghdr *message = (const void *)data;

	for (; NLMSG_OK(message, size); message = NLMSG_NEXT(message, size)) {
		const struct nlmsgerr *error = NLMSG_DATA(message);

		if (message->nlmsg_type == NLMSG_DONE)
			return 0;
		/* A kernel without such things has none of them. */
		if (message->nlmsg_type == NLMSG_ERROR)
			return error->error == -EOPNOTSUPP || error->error == -EINVAL ||
					       error->error == -EAFNOSUPPORT
				       ? 0
				       : error->error;
		add(objects, question, message);
	}
	return 1;
}

static int ask(struct net_objects *objects, const struct question *question, char *buffer,
	       size_t room)
{
	autofd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, question->protocol);
	int more;

	if (fd < 0)
		return errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT ? 0 : -errno;
	more = send_question(fd, question);
	if (more)
		return more;
	do {
		ssize_t size = recv(fd, buffer, room, MSG_TRUNC);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 || (size_t)size > room)
			return size < 0 ? -errno : -EMSGSIZE;
		more = take(objects, question, buffer, size);
	} while (more > 0);
	return more;
}

struct net_objects *net_objects_collect(void)
{
	enum { ROOM = 256 * 1024 };
	struct net_objects *objects = calloc(1, sizeof(*objects));
	autofree char *buffer = malloc(ROOM);

	if (!objects || !buffer)
		die_of_memory();
	for (size_t i = 0; i < sizeof(questions) / sizeof(*questions); i++) {
		int error = ask(objects, &questions[i], buffer, ROOM);

		if (error) {
			FAIL(-error, SUBJECT("network namespace"), NULL,
			     "netlink does not tell of its %s: %s", questions[i].what,
			     strerror(-error));
			net_objects_free(objects);
			return NULL;
		}
	}
	return objects;
}

void net_objects_free(struct net_objects *objects)
{
	if (!objects)
		return;
	array_each (&objects->all, object)
		free(object->data);
	array_free(&objects->all);
	free(objects);
}

static int order(const void *left, const void *right)
{
	const struct object *a = left, *b = right;
	size_t common = a->size < b->size ? a->size : b->size;
	int by_data;

	if (a->question != b->question)
		return a->question < b->question ? -1 : 1;
	by_data = memcmp(a->data, b->data, common);
	return by_data ? by_data : (a->size > b->size) - (a->size < b->size);
}

static void sort(const struct net_objects *objects)
{
	if (objects->all.count)
		qsort(objects->all.items, objects->all.count, sizeof(*objects->all.items), order);
}

const char *net_objects_compare(const struct net_objects *a, const struct net_objects *b)
{
	size_t i = 0;

	sort(a);
	sort(b);
	while (i < a->all.count && i < b->all.count && !order(&a->all.items[i], &b->all.items[i]))
		i++;
	if (i == a->all.count && i == b->all.count)
		return NULL;
	if (i == a->all.count)
		return b->all.items[i].question->what;
	if (i == b->all.count)
		return a->all.items[i].question->what;
	return a->all.items[i].question < b->all.items[i].question ? a->all.items[i].question->what
								   : b->all.items[i].question->what;
}

# clib.mk - part of the Makefile: the C library, built and installed without Python or CMake. Variables that one may set:
#
#   CC CPPFLAGS CFLAGS LDFLAGS AR        as everywhere; a change of the compiler or of flags builds anew
#   PREFIX LIBDIR INCLUDEDIR DESTDIR     where to install to (LIBDIR=/usr/lib/x86_64-linux-gnu); DESTDIR goes before all
#
# One set of objects makes both libraries: they are position-independent, so that the static one fits into programs and
# other shared libraries alike, and export what CBP_API marks. packaging/install.cmake installs the same files.
PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include

CLIB         := build/clib
CLIB_SOURCES := $(sort $(wildcard csrc/kern/*.c)) $(wildcard csrc/*.c)
CLIB_OBJECTS := $(CLIB_SOURCES:csrc/%.c=$(CLIB)/%.o)
CLIB_FLAGS    = -std=gnu11 -O2 -fPIC -fvisibility=hidden -ffp-contract=off -ffunction-sections -DCBP_SHARED \
                -Icsrc $(CPPFLAGS) $(CFLAGS)
CLIB_HEADERS := csrc/cbp.h $(wildcard csrc/*.def)

# 0.1.0 of the header, and what of it must be the same for programs to run: 0.1, from 1.0.0 on 1
CLIB_VERSION   := $(shell awk '$$2 ~ /^CBP_VERSION_(MAJOR|MINOR|PATCH)$$/ { v = v dot $$3; dot = "." } END { print v }' csrc/cbp.h)
CLIB_SOVERSION := $(shell echo $(CLIB_VERSION) | awk -F. '{ print $$1 == 0 ? $$1 "." $$2 : $$1 }')

ifeq ($(shell uname -s),Darwin)
CLIB_SHARED   := libcbp.$(CLIB_VERSION).dylib
CLIB_SONAME   := libcbp.$(CLIB_SOVERSION).dylib
CLIB_LINK     := libcbp.dylib
CLIB_LDFLAGS  := -dynamiclib -Wl,-install_name,@rpath/$(CLIB_SONAME) -Wl,-headerpad_max_install_names \
                 -Wl,-compatibility_version,$(CLIB_SOVERSION) -Wl,-current_version,$(CLIB_VERSION)
else
CLIB_SHARED   := libcbp.so.$(CLIB_VERSION)
CLIB_SONAME   := libcbp.so.$(CLIB_SOVERSION)
CLIB_LINK     := libcbp.so
CLIB_LDFLAGS  := -shared -Wl,-soname,$(CLIB_SONAME) -Wl,-z,defs
endif
CLIB_LIBS := -lm -lpthread

.PHONY: clib strict install-c uninstall-c abi abi-baseline

clib:                           ## the C library alone, no Python: static and shared, in build/clib (CC=clang, CFLAGS=...)
	@$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(CLIB_JOBS)) $(CLIB)/libcbp.a $(CLIB)/$(CLIB_SHARED)

CLIB_JOBS := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

$(CLIB)/libcbp.a: $(CLIB_OBJECTS)
	rm -f $@
	$(AR) rcs $@ $^

$(CLIB)/$(CLIB_SHARED): $(CLIB_OBJECTS)
	$(CC) $(CFLAGS) $(LDFLAGS) $(CLIB_LDFLAGS) -o $@ $^ $(CLIB_LIBS)

$(CLIB)/%.o: csrc/%.c $(CLIB)/flags
	@mkdir -p $(@D)
	$(CC) $(CLIB_FLAGS) -MMD -MP -c $< -o $@

# Which compiler and flags the objects are from. Those that only warn make no other objects.
CLIB_MADE_BY = $(shell $(CC) -v 2>&1 | grep version) $(filter-out -W%,$(CLIB_FLAGS))
$(CLIB)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CLIB_MADE_BY)' | cmp -s - $@ || echo '$(CLIB_MADE_BY)' >$@
.PHONY: FORCE

-include $(CLIB_OBJECTS:.o=.d)

strict:                         ## compile the C library with every warning an error
	rm -rf $(CLIB)
	$(MAKE) clib CFLAGS="-Wall -Wextra -Werror"

# ---- to where it is used from ----

# The headers have a folder of their own: the tables, act.def and so on, are no names for /usr/include
CLIB_TO       = $(DESTDIR)$(LIBDIR)
CLIB_H_TO     = $(DESTDIR)$(INCLUDEDIR)/cbp
CLIB_REL      = $(patsubst $(PREFIX)/%,%,$(LIBDIR))
clib_space   := $(subst ,, )
CLIB_UP       = $(if $(filter /%,$(CLIB_REL)),$(PREFIX),$(subst $(clib_space),/,$(patsubst %,..,$(subst /, ,$(CLIB_REL)/cmake/cbp))))
CLIB_FILL     = sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@VERSION@|$(CLIB_VERSION)|g' -e 's|@SOVERSION@|$(CLIB_SOVERSION)|g' \
                -e 's|@PC_LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|g' \
                -e 's|@PC_INCLUDEDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(INCLUDEDIR))|g' \
                -e 's|@LIBDIR@|$(CLIB_REL)|g' -e 's|@SHAREDDIR@|$(CLIB_REL)|g' \
                -e 's|@INCLUDEDIR@|$(patsubst $(PREFIX)/%,%,$(INCLUDEDIR))|g' -e 's|@UP@|$(CLIB_UP)|g' \
                -e 's|@STATIC@|libcbp.a|g' -e 's|@SHARED@|$(CLIB_SHARED)|g' -e 's|@SONAME@|$(CLIB_SONAME)|g' \
                -e 's|@IMPORT@||g' -e 's|@PRIVATE_LIBS@|$(CLIB_LIBS)|g' -e 's|@STATIC_LIBS@|Threads::Threads;m|g' \
                -e 's|@POINTER_BYTES@|'`printf '__SIZEOF_POINTER__' | $(CC) $(CFLAGS) -E -P -`'|g'

install-c: clib                 ## the C library, its header, and what pkg-config and CMake want to know (PREFIX=/usr/local DESTDIR=)
	install -d $(CLIB_H_TO) $(CLIB_TO)/pkgconfig $(CLIB_TO)/cmake/cbp
	install -m 644 $(CLIB_HEADERS) $(CLIB_H_TO)
	install -m 644 $(CLIB)/libcbp.a $(CLIB_TO)
	install -m 755 $(CLIB)/$(CLIB_SHARED) $(CLIB_TO)
	ln -sf $(CLIB_SHARED) $(CLIB_TO)/$(CLIB_SONAME)
	ln -sf $(CLIB_SONAME) $(CLIB_TO)/$(CLIB_LINK)
	test `uname -s` != Darwin || install_name_tool -id $(LIBDIR)/$(CLIB_SONAME) $(CLIB_TO)/$(CLIB_SHARED)
	$(CLIB_FILL) packaging/cbp.pc.in >$(CLIB_TO)/pkgconfig/cbp.pc
	$(CLIB_FILL) packaging/cbp-config.cmake.in >$(CLIB_TO)/cmake/cbp/cbp-config.cmake
	$(CLIB_FILL) packaging/cbp-config-version.cmake.in >$(CLIB_TO)/cmake/cbp/cbp-config-version.cmake

uninstall-c:                    ## remove what install-c installed (with the same PREFIX and DESTDIR)
	rm -f $(addprefix $(CLIB_H_TO)/,$(notdir $(CLIB_HEADERS))) $(CLIB_TO)/pkgconfig/cbp.pc $(CLIB_TO)/cmake/cbp/cbp-*.cmake
	rm -f $(addprefix $(CLIB_TO)/,libcbp.a $(CLIB_SHARED) $(CLIB_SONAME) $(CLIB_LINK))
	rmdir $(CLIB_H_TO) $(CLIB_TO)/cmake/cbp 2>/dev/null || true

abi:                            ## do programs built with the last release run with this library? (needs abigail-tools)
	$(PYTHON) tools/abi.py

abi-baseline:                   ## a release: what abi compares with from now on
	$(PYTHON) tools/abi.py --baseline

# install.cmake - part of CMakeLists.txt: what is installed. The names filled into the templates of this folder are the
# same as in packaging/clib.mk, which does it without CMake.
install(FILES ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cbp)

set(VERSION ${PROJECT_VERSION})
set(PREFIX ${CMAKE_INSTALL_PREFIX})
set(LIBDIR ${CMAKE_INSTALL_LIBDIR})
set(INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})
set(SHAREDDIR ${LIBDIR})
set(POINTER_BYTES ${CMAKE_SIZEOF_VOID_P})
set(STATIC_LIBS "${system_libraries}")
if(UNIX)
  set(PRIVATE_LIBS "-lm -lpthread")
endif()

foreach(folder LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE "${${folder}}")
    set(PC_${folder} "${${folder}}")
  else()
    set(PC_${folder} "\${prefix}/${${folder}}")
  endif()
endforeach()
if(IS_ABSOLUTE "${LIBDIR}")
  set(UP "${PREFIX}")
else()
  string(REGEX REPLACE "[^/]+" ".." UP "${LIBDIR}/cmake/cbp")
endif()

# The names of the libraries are the platform's, known when the build is generated
if(CBP_SHARED)
  install(TARGETS cbp_shared
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
    LIBRARY DESTINATION ${LIBDIR}
    ARCHIVE DESTINATION ${LIBDIR})
  set(SHARED $<TARGET_FILE_NAME:cbp_shared>)
  if(WIN32)
    set(SHAREDDIR ${CMAKE_INSTALL_BINDIR})
    set(IMPORT $<TARGET_LINKER_FILE_NAME:cbp_shared>)
  else()
    set(SONAME $<TARGET_SONAME_FILE_NAME:cbp_shared>)
  endif()
endif()
if(CBP_STATIC)
  install(TARGETS cbp_static ARCHIVE DESTINATION ${LIBDIR})
  set(STATIC $<TARGET_FILE_NAME:cbp_static>)
endif()

foreach(name cbp.pc cbp-config.cmake cbp-config-version.cmake)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/${name}.in ${PROJECT_BINARY_DIR}/${name}.in @ONLY)
  file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/${name} INPUT ${PROJECT_BINARY_DIR}/${name}.in)
endforeach()
install(FILES ${PROJECT_BINARY_DIR}/cbp.pc DESTINATION ${LIBDIR}/pkgconfig)
install(FILES ${PROJECT_BINARY_DIR}/cbp-config.cmake ${PROJECT_BINARY_DIR}/cbp-config-version.cmake
  DESTINATION ${LIBDIR}/cmake/cbp)

if(is_top)
  add_custom_target(uninstall COMMAND ${CMAKE_COMMAND}
    -DMANIFEST=${PROJECT_BINARY_DIR}/install_manifest.txt -P ${CMAKE_CURRENT_LIST_DIR}/uninstall.cmake)
endif()

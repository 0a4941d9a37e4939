# CMake refuses to generate over two kinds of header directories met with ROS from pip wheels.
# On an ordinary ROS installation there is nothing to repair.

# Targets of prebuilt packages name directories of the machine they were built on. Each
# target of this package finds the Python headers afresh, so those entries go.
function(drop_missing_include_dirs)
  get_directory_property(_targets IMPORTED_TARGETS)
  foreach(_target IN LISTS _targets)
    get_target_property(_dirs ${_target} INTERFACE_INCLUDE_DIRECTORIES)
    if(_dirs)
      set(_present "")
      foreach(_dir IN LISTS _dirs)
        if(NOT IS_ABSOLUTE "${_dir}" OR EXISTS "${_dir}")
          list(APPEND _present "${_dir}")
        endif()
      endforeach()
      set_target_properties(${_target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_present}")
    endif()
  endforeach()
endfunction()

# With a virtual environment inside the source tree, numpy's headers lie inside it too; an
# exported target must not name them but while building.
function(keep_source_include_dirs_private _target)
  if(TARGET ${_target})
    get_target_property(_dirs ${_target} INTERFACE_INCLUDE_DIRECTORIES)
    set(_kept "")
    foreach(_dir IN LISTS _dirs)
      string(FIND "${_dir}" "${CMAKE_CURRENT_SOURCE_DIR}/" _place)
      if(_place EQUAL 0)
        set(_dir "$<BUILD_INTERFACE:${_dir}>")
      endif()
      list(APPEND _kept "${_dir}")
    endforeach()
    set_target_properties(${_target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_kept}")
  endif()
endfunction()
